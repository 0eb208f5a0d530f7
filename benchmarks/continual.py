"""Class-incremental learning with a small replay buffer.

python -m benchmarks.continual --buffer datadam
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.mistake import one_line
from distill.overrides import configure, parse

if TYPE_CHECKING:
    import torch

    from benchmarks.record import Record, Stopwatch
    from distill.images import Data, ImageSet
    from distill.synthetic import SyntheticSet
    from downstream.metrics import OrderResult
    from downstream.protocol import Protocol

PROG = "python -m benchmarks.continual"


@dataclasses.dataclass(frozen=True)
class Continual:
    """Learn classes step by step, remembering a few images of each, and see what stays known.

    Flags of the buffer's own are written --method.NAME VALUE; `python -m benchmarks.continual
    --buffer datadam --help` lists them.
    """

    buffer: str = "datadam"
    """How the memory is made: random, herding, dm, datadam."""
    dataset: str = "digits"
    """Which images: digits (embedded), cifar10, cifar100, or folder (your own)."""
    ipc: int = 1
    """Images per class in the memory."""
    steps: int = 5
    """How many steps the classes come in."""
    orders: int = 5
    """How many class orders, each a run of its own."""
    strategy: str = "retrain"
    """retrain: fresh networks on the memory alone, as published; replay: the networks go on."""
    network: str | None = None
    """The network, e.g. convnet-d3-w64-batch; the preset's if not given."""
    preset: str = "laptop"
    """laptop (minutes on two cores) or paper (the published protocol)."""
    seed: int = 0
    """The same seed gives the same record."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for --dataset folder."""
    out: Path = Path("runs")
    """Where the record, the sets and the figure go."""


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    command, flags = parse(Continual, args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks import report
    from benchmarks.record import provenance

    record = run(ready, provenance("benchmarks.continual", args, ready.device))
    report.publish(record, command.out)


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked, so that nothing of it fails after an hour."""

    command: Continual
    config: Any
    variant: dict[str, Any]
    data: "Data"
    protocol: "Protocol"
    device: "torch.device"


def prepare(command: Continual, flags: list[str]) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks import inputs
    from distill import registry
    from distill.images import Data, Normalisation
    from distill.networks import parse as parse_network
    from downstream import protocol as protocols

    registry.require("methods", command.buffer, what="buffer")
    config, variant = configure(
        command.buffer, command.dataset, command.ipc, command.preset, flags, prog=PROG
    )
    protocol = protocols.preset(
        command.preset,
        dataset=command.dataset,
        steps=command.steps,
        orders=command.orders,
        strategy=command.strategy,
        seed=command.seed,
    )
    network = parse_network(command.network or protocol.network)
    data, device = inputs.load(command)
    protocols.step_sizes(len(data.train.classes), command.steps)
    fixed = Normalisation.fixed(data.train.shape[0])
    return Ready(
        command,
        config,
        variant,
        Data(*(half.normalised_by(fixed) for half in data)),
        dataclasses.replace(protocol, network=str(network)),
        device,
    )


def run(ready: Ready, provenance: dict[str, Any]) -> "Record":
    """Go through all class orders and gather the record."""
    from benchmarks.record import Record, Stopwatch, peak_memory
    from downstream.metrics import summary

    command, data = ready.command, ready.data
    watch = Stopwatch()
    orders, stored = _orders(ready, watch)
    return Record(
        kind="continual",
        protocol={
            "dataset": data.train.name,
            "digest": data.train.digest(),
            **dataclasses.asdict(ready.protocol),
            "normalisation": data.train.normalisation.describe(),
        },
        cell={
            "method": command.buffer,
            "ipc": command.ipc,
            "preset": command.preset,
            "variant": ready.variant,
            "config": dataclasses.asdict(ready.config),
        },
        metrics={
            **summary(orders),
            "sizes": [order.sizes for order in orders],
            "matrices": [order.matrices for order in orders],
        },
        cost={
            "seconds": watch.seconds,
            **peak_memory(ready.device),
            "stored_images": command.ipc * len(data.train.classes),
            "stored_bytes": stored,
        },
        provenance=provenance,
    )


def _orders(ready: Ready, watch: "Stopwatch") -> tuple[list["OrderResult"], int]:
    """The result of every class order, and the bytes that a buffer takes."""
    from distill import cache, registry
    from distill.progress import Progress

    progress = Progress(sys.stderr)
    progress.say("loading Avalanche, some seconds ...")
    from downstream import continual

    command, protocol = ready.command, ready.protocol
    redrawn = registry.load("methods", command.buffer).REDRAWN
    watch.lap("start")
    progress.start("training", protocol.orders * protocol.steps * protocol.recipe.epochs)
    results, stored = [], []
    for order in range(protocol.orders):

        def distil(real: "ImageSet", seed: int = command.seed + redrawn * order) -> "SyntheticSet":
            watch.lap("train")
            made = cache.distil(
                command.out / "sets",
                command.buffer,
                real,
                command.ipc,
                config=ready.config,
                seed=seed,
                device=ready.device,
                progress=Progress(sys.stderr),
            )
            watch.lap("distil")
            stored.append(made.stored_bytes)
            return made

        results.append(
            continual.run_order(
                ready.data,
                distil,
                ipc=command.ipc,
                protocol=protocol,
                order=order,
                device=ready.device,
                progress=progress,
            )
        )
    watch.lap("train")
    return results, sum(stored) // protocol.orders


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
