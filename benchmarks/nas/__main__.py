"""Architecture search on a small proxy instead of the whole dataset.

python -m benchmarks.nas --proxy distilled
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import command as shared
from distill import choices
from distill.runtime import registry
from distill.runtime.flags import configure, differences, parse
from distill.runtime.mistake import Mistake, one_line, unknown

if TYPE_CHECKING:
    from benchmarks.nas.run import Ready
    from distill.images import About
    from distill.plan import Plan
    from downstream.nas.search import Engine

PROG = "python -m benchmarks.nas"


@dataclasses.dataclass(frozen=True)
class Nas:
    """Rank ConvNets by training them on a small proxy, and see how the whole dataset ranks them.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.nas --method
    datadam --help` lists them.
    """

    proxy: str = "distilled"
    """What networks are tried on: any method (random, herding, ...), distilled (see --method),
    early-stopping (the whole dataset for as many steps as the others get), whole; or parameters,
    flops: nothing is trained, the larger network is ranked higher."""
    method: str | None = None
    """How --proxy distilled is made: one of the files in distill/methods; datadam if not given."""
    dataset: choices.Dataset = choices.DEFAULT_DATASET
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
    preset: choices.Preset = "laptop"
    seed: int = 0
    """Of the proxy's images and trainings; the sample and the ground truth do not depend on it."""
    device: choices.Device = "auto"
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for a dataset of your own pictures."""
    out: Path = Path("runs")
    """Where the record, the finished trials, the sets and the figures go."""


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    command, flags = parse(Nas, args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks.nas.run import run
    from benchmarks.provenance import provenance

    record = run(ready, provenance("benchmarks.nas", args, ready.compute.device))
    shared.publish(record, command.out)


def prepare(command: Nas, flags: list[str]) -> "Ready":
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks.nas import truth
    from benchmarks.nas.run import Ready
    from downstream.nas import proxy

    about = shared.about(command)
    plan, label = planned(command, flags, about)
    comparison = proxy.preset(
        command.preset, about, space=command.space, networks=command.networks, epochs=command.epochs
    )
    require_strategy(command)
    engine = checked_engine(command)
    data, compute = shared.load(command)
    settings = proxy.whole_settings(
        data,
        dataset=command.dataset,
        image_size=command.image_size,
        root=command.data_root,
        recipe=comparison.truth,
        compute=compute,
    )
    return Ready(
        command=command,
        plan=plan,
        label=label,
        data=data,
        comparison=comparison,
        engine=engine,
        compute=compute,
        truth=settings,
        known=truth.known(settings, command.truth, shared.record_folders(command.out)),
    )


def planned(command: Nas, flags: list[str], about: "About") -> tuple["Plan | None", str]:
    """The set that a proxy is, None for one that has no images of its own; and the row's label.

    Raises:
        Mistake: no such proxy or method, or a method's flag that it does not have.
    """
    from distill.plan import Plan
    from distill.runtime.seeding import derive
    from downstream.nas.proxy import method_of

    method = method_of(command.proxy, command.method)
    if method is None:
        if flags:
            raise Mistake(
                f"{flags[0]} has no meaning with --proxy {command.proxy}: it makes no images"
            )
        return None, command.proxy
    module = registry.load("distill.methods", method)
    preset = module.preset(about, command.ipc, command.preset)
    config = configure(preset, flags, prog=PROG)
    plan = Plan(method, config, command.ipc, derive(command.seed, "set", 0))
    return plan, shared.label(method, command.preset, differences(preset, config))


def require_strategy(command: Nas) -> None:
    """Check the strategy, and flags that would have no meaning.

    Raises:
        Mistake: no such strategy, or a flag of another one.
    """
    from downstream.nas.proxy import FREE, STRATEGIES
    from downstream.nas.space import every

    if command.strategy not in STRATEGIES:
        raise unknown("strategy", command.strategy, STRATEGIES)
    if command.proxy == "whole" and command.epochs is not None:
        raise Mistake("--epochs is for the other proxies; the whole dataset's are the preset's")
    if command.proxy in FREE and command.epochs is not None:
        raise Mistake(
            f"--epochs is for proxies that are trained on; {command.proxy} trains nothing"
        )
    if command.proxy in FREE and command.strategy != "grid":
        raise Mistake(
            f"--strategy {command.strategy} is for proxies that are trained on; --proxy "
            f"{command.proxy} takes grid"
        )
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


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
