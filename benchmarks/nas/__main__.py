"""Architecture search on a small proxy instead of the whole dataset.

python -m benchmarks.nas --proxy distilled
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.runtime.flags import configure, parse
from distill.runtime.mistake import Mistake, one_line, unknown

if TYPE_CHECKING:
    import torch

    from benchmarks.record import Record
    from distill.images import Data
    from distill.synthetic import SyntheticSet
    from downstream.nas.proxy import Protocol
    from downstream.nas.search import Engine, Search, Trials
    from downstream.nas.trial import Settings

PROG = "python -m benchmarks.nas"


@dataclasses.dataclass(frozen=True)
class Nas:
    """Rank ConvNets by training them on a small proxy, and see how the whole dataset ranks them.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.nas --method
    datadam --help` lists them.
    """

    proxy: str = "distilled"
    """What networks are tried on: random, herding, distilled (see --method), early-stopping (the
    whole dataset for as many steps as the others get), whole."""
    method: str | None = None
    """How --proxy distilled is made: one of the files in distill/methods; datadam if not given."""
    dataset: str = "digits"
    """Which images: digits (embedded), cifar10, cifar100, or folder (your own)."""
    ipc: int = 10
    """Images per class in the proxy."""
    networks: str | None = None
    """How many of the space are ranked (a fixed sample), or all; the preset's if not given."""
    space: str | None = None
    """laptop (widths 8 to 64) or paper (32 to 256), each of 720 ConvNets; the preset's if not
    given."""
    epochs: int | None = None
    """Of the training on the proxy; the preset's if not given."""
    strategy: str = "grid"
    """grid ranks the sample; random, evolution and tpe search the space with --trials trials."""
    trials: int | None = None
    """How many networks a search tries; 40 if not given."""
    engine: str = "in-process"
    """in-process (one trial after the other), or service (NNI's training service)."""
    engine_config: Path | None = None
    """NNI's own configuration file, for a remote or Kubernetes service."""
    concurrency: int = 2
    """Trials at once on a local service."""
    port: int = 8080
    """Of the service's server, which listens on this machine alone."""
    truth: Path | None = None
    """A record of --proxy whole to compare with; if not given, one that fits is looked for, and
    what is missing is trained."""
    preset: str = "laptop"
    """laptop (minutes on two cores) or paper (the published space and training)."""
    seed: int = 0
    """Of the proxy's images and trainings; the sample and the ground truth do not depend on it."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for --dataset folder."""
    out: Path = Path("runs")
    """Where the record, the finished trials, the sets and the figure go."""


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    command, flags = parse(Nas, args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks import report
    from benchmarks.record import provenance

    record = run(ready, provenance("benchmarks.nas", args, ready.device))
    report.publish(record, command.out)


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked, so that nothing of it fails after an hour.

    Attributes:
        method: that makes the proxy's images; None for the whole dataset.
        config: the method's, and `variant`: what flags changed of its preset.
        truth: how the ground truth is made, and `known`: what records hold of it.
    """

    command: Nas
    method: str | None
    config: Any
    variant: dict[str, Any]
    data: "Data"
    protocol: "Protocol"
    engine: "Engine"
    device: "torch.device"
    truth: "Settings"
    known: dict[str, float | None]


def prepare(command: Nas, flags: list[str]) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks import inputs, truth
    from benchmarks.record import RESULTS
    from downstream import proxy

    method = proxy.method_of(command.proxy, command.method)
    config, variant = None, {}
    if method is not None:
        config, variant = configure(
            method, command.dataset, command.ipc, command.preset, flags, prog=PROG
        )
    elif flags:
        raise Mistake(f"{flags[0]} has no meaning with --proxy {command.proxy}: it makes no images")
    protocol = proxy.preset(
        command.preset,
        dataset=command.dataset,
        space=command.space,
        networks=command.networks,
        epochs=command.epochs,
    )
    require_strategy(command)
    engine = checked_engine(command)
    data, device = inputs.load(command)
    settings = proxy.whole_settings(
        data,
        dataset=command.dataset,
        image_size=command.image_size,
        root=command.data_root,
        recipe=protocol.truth,
        device=device,
    )
    folders = [RESULTS / "records", command.out / "records"]
    known = truth.known(settings, command.truth, folders)
    return Ready(command, method, config, variant, data, protocol, engine, device, settings, known)


def require_strategy(command: Nas) -> None:
    """Check the strategy, and flags that would have no meaning.

    Raises:
        Mistake: no such strategy, or a flag of another one.
    """
    from downstream.nas.proxy import STRATEGIES
    from downstream.nas.space import every

    if command.strategy not in STRATEGIES:
        raise unknown("strategy", command.strategy, STRATEGIES)
    if command.proxy == "whole" and command.epochs is not None:
        raise Mistake("--epochs is for the other proxies; the whole dataset's are the preset's")
    if command.strategy == "grid" and command.trials is not None:
        raise Mistake(f"--trials {command.trials} is for a search; grid takes --networks")
    if command.strategy != "grid" and command.networks is not None:
        raise Mistake(f"--networks is for --strategy grid; {command.strategy} takes --trials")
    most = len(every(command.space or command.preset))
    if command.trials is not None and not 2 <= command.trials <= most:
        raise Mistake(
            f"--trials {command.trials}: give a number from 2 to {most}, the space's size"
        )


def checked_engine(command: Nas) -> "Engine":
    """The engine that the command asks for.

    Raises:
        Mistake: it cannot run here.
    """
    from downstream.nas.search import Engine

    engine = Engine(
        command.engine,
        command.engine_config,
        command.concurrency,
        command.port,
        command.out / "nni",
    )
    engine.check()
    return engine


def run(ready: Ready, provenance: dict[str, Any]) -> "Record":
    """Make the proxy, try the networks on it and on the whole dataset, and gather the record."""
    from benchmarks.nas_record import cell_of, metrics_of, protocol_of
    from benchmarks.record import Record, Stopwatch, peak_memory
    from downstream.nas.truth import Truth

    watch = Stopwatch()
    made = _made(ready)
    watch.lap("distil")
    trials, search = _proxy_trials(ready, made), _search(ready)
    truth = Truth(ready.known, lambda: _trials(ready, ready.truth, None, "whole"), search.space)
    trials.announce(search)
    if trials.job.settings != ready.truth:
        truth.announce([str(spec) for spec in search.networks])
    rows = trials.run(search)
    if trials.job.settings == ready.truth:
        truth.known |= {row["network"]: row["accuracy"] for row in rows}
    metrics = metrics_of(rows, truth, search, trials.ledger.path)
    spent = sum(row["seconds"] or 0 for row in rows)
    real = ready.data.train
    return Record(
        kind="nas" if search.strategy == "grid" else "nas-search",
        protocol=protocol_of(ready, search),
        cell=cell_of(ready, trials),
        metrics=metrics,
        cost={
            "seconds": {"distil": watch.seconds["distil"], "trials": round(spent, 1)},
            **peak_memory(ready.device),
            "stored_images": len(real if made is None else made),
            "stored_bytes": real.images.numel() if made is None else made.stored_bytes,
        },
        provenance=provenance | {"engine": ready.command.engine},
    )


def _made(ready: Ready) -> "SyntheticSet | None":
    """The proxy's images; None for the whole dataset."""
    if ready.method is None:
        return None
    from distill import cache
    from distill.runtime.progress import Progress

    return cache.distil(
        ready.command.out / "sets",
        ready.method,
        ready.data.train,
        ready.command.ipc,
        config=ready.config,
        seed=ready.command.seed,
        device=ready.device,
        progress=Progress(sys.stderr),
    )


def _proxy_trials(ready: Ready, made: "SyntheticSet | None") -> "Trials":
    """Trials on the proxy."""
    from downstream import proxy

    command = ready.command
    settings = proxy.proxy_settings(
        ready.truth,
        command.proxy,
        recipe=ready.protocol.recipe,
        seed=command.seed,
        images=command.ipc * len(ready.data.train.classes),
    )
    if made is not None:
        settings = proxy.saved(settings, made, command.out / "sets")
    return _trials(ready, settings, made, ready.method or command.proxy)


def _trials(ready: Ready, settings: "Settings", made: "SyntheticSet | None", name: str) -> "Trials":
    from distill.runtime.ledger import Ledger
    from downstream.nas.search import Trials
    from downstream.nas.trial import job

    folder = ready.command.out / "trials"
    return Trials(
        what=f"{name} trials",
        job=job(settings, ready.data, made),
        ledger=Ledger(folder, f"{settings.dataset}-{name}", settings.key()),
        engine=ready.engine,
        classes=len(ready.data.train.classes),
    )


def _search(ready: Ready) -> "Search":
    """Which networks are tried."""
    from downstream import space
    from downstream.nas.search import Search

    command, protocol = ready.command, ready.protocol
    grid = command.strategy == "grid"
    return Search(
        strategy=command.strategy,
        space=protocol.space,
        networks=space.sample(protocol.space, protocol.networks) if grid else [],
        budget=protocol.networks if grid else command.trials or 40,
        seed=command.seed,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
