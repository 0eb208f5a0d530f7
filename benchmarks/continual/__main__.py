"""Class-incremental learning with a small replay buffer.

python -m benchmarks.continual --buffer datadam
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmarks import command as shared
from benchmarks.opened import label, opened
from distill import choices
from distill.runtime import ranks, registry
from distill.runtime.flags import Among, chosen, configure, differences, parse
from distill.runtime.mistake import Mistake, one_line
from downstream.continual import loggers, reference

if TYPE_CHECKING:
    from benchmarks.continual.run import Orders
    from benchmarks.record import Record
    from benchmarks.schema import Provenance
    from distill.images import About, Data
    from distill.plan import Plan
    from distill.runtime.compute import Compute
    from downstream.continual.protocol import Protocol
    from downstream.continual.reference import Reference

PROG = "python -m benchmarks.continual"
Buffer = chosen(
    "How the memory is made; or, to judge by, no memory (naive, with replay), all images (joint),"
    " a sample of the stream (reservoir)",
    *reference.NAMES,
    package="distill.methods",
    file=choices.ENDING,
)
Logger = Annotated[str | None, Among(loggers.NAMES)]
Judge = chosen("Which images judge; to choose settings, validation", *shared.JUDGES)


@dataclasses.dataclass(frozen=True)
class Continual:
    """Learn classes step by step, remembering a few images of each, and see what stays known.

    Flags of the buffer's own are written --method.NAME VALUE; `python -m benchmarks.continual
    --buffer datadam --help` lists them.
    """

    buffer: Buffer = "datadam"
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: choices.Ipc = 1
    """Images per class in the memory."""
    steps: choices.Count = 5
    """How many steps the classes come in."""
    orders: choices.Count = 5
    """How many class orders, each a run of its own."""
    sets: choices.Count | None = None
    """How many sets of images: order o uses set o mod SETS; the preset's if not given."""
    networks: choices.Count | None = None
    """How many networks go through each class order; the preset's if not given."""
    strategy: str = "retrain"
    """retrain: fresh networks on the memory alone, as published; replay: the networks go on."""
    network: str | None = None
    """The network, e.g. convnet-d3-w64-batch; the preset's if not given."""
    recipe: choices.Recipe = None
    epochs: choices.Epochs = None
    """Of the training at each step; the recipe's, or else the preset's if not given."""
    preset: choices.Preset = "laptop"
    seed: choices.Seed = 0
    """The same seed gives the same record."""
    judge: Judge = "test"
    logger: Logger = None
    """csv or tensorboard: also write through Avalanche's logger, into OUT/logs. All class orders
    are then gone through from their first step, whatever an earlier run has done."""
    device: choices.Device = "auto"
    precision: choices.Precision = "auto"
    compile: choices.Compile = "auto"
    deterministic: choices.Deterministic = False
    workers: choices.Workers = None
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: choices.ImageSize = None
    out: Path = Path("runs")
    """Where the record, the sets and the figure go."""


@ranks.led()
def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    command, flags = opened(*parse(Continual, args, prog=PROG), args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks.provenance import provenance

    record = run(ready, provenance("benchmarks.continual", args, ready.compute.device))
    shared.publish(record, command.out)


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked, so that nothing of it fails after an hour."""

    command: Continual
    plan: "Plan | Reference"
    label: str
    data: "Data"
    protocol: "Protocol"
    compute: "Compute"

    @property
    def orders(self) -> "Orders":
        """What its class orders share."""
        from benchmarks.continual import facts
        from benchmarks.continual.run import Orders

        command, protocol = self.command, self.protocol
        words = facts.words(command.dataset, command.buffer, self.plan.ipc, protocol.strategy)
        return Orders(
            real=self.data.train,
            compute=self.compute,
            sets=command.out / "sets",
            plan=self.plan,
            test=self.data.test,
            protocol=protocol,
            logger=command.logger,
            logs=command.out / "logs" / f"{words}-seed{command.seed}",
            work=command.out / "work",
        )


def prepare(command: Continual, flags: list[str]) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from distill import formation
    from distill.images import Normalisation
    from distill.networks import drafted
    from distill.networks import parse as parse_network
    from distill.runtime import cores
    from distill.sets import disk
    from downstream.continual import protocol as protocols

    about = shared.about(command)
    plan, label = asked(command, flags, about)
    formation.require(plan.config.formation, about.shape)
    protocol = protocols.preset(
        command.preset,
        about,
        steps=command.steps,
        orders=command.orders,
        sets=1 if plan.method in reference.WITHOUT_SETS else command.sets,
        networks=command.networks,
        strategy=command.strategy,
        seed=command.seed,
        recipe=command.recipe,
        epochs=command.epochs,
    )
    require_sets(plan.config, protocol)
    network = parse_network(protocol.network if command.network is None else command.network)
    data, compute = shared.load(command, flags)
    drafted(network, data.train.shape, classes=len(data.train.classes))
    cores.require(command.workers, compute.device)
    protocols.step_sizes(len(data.train.classes), command.steps)
    ready = Ready(
        command,
        plan,
        label,
        data.normalised_by(Normalisation.fixed(data.train.shape[0])),
        dataclasses.replace(protocol, network=str(network)),
        compute,
    )
    if wanted := ready.orders.wanted():
        disk.require(command.out, wanted, ready.orders)
    return ready


def asked(command: Continual, flags: list[str], about: "About") -> tuple["Plan | Reference", str]:
    """What the memory is to be, and what its row is called.

    Raises:
        Mistake: no such buffer or setting, or a reference that does not go with the rest.
    """
    from distill.plan import Plan

    if command.buffer in reference.NAMES:
        plan = reference.require(
            command.buffer, strategy=command.strategy, ipc=command.ipc, sets=command.sets
        )
        configure(plan.config, flags, prog=PROG, command=Continual)  # it has no flags of its own
        return plan, shared.label(command.buffer, command.preset, {})
    module = registry.load("distill.methods", command.buffer, what="buffer")
    preset = module.preset(about, command.ipc, command.preset)
    config = configure(preset, flags, prog=PROG, command=Continual)
    usual = shared.label(command.buffer, command.preset, differences(preset, config))
    return Plan(command.buffer, config, command.ipc, command.seed), label(flags, usual)


def require_sets(config: Any, protocol: "Protocol") -> None:
    """Check that there is a set for each class order where a class's images depend on its step.

    Raises:
        Mistake: there are fewer.
    """
    if config.couples_classes and protocol.sets < protocol.orders:
        raise Mistake(
            f"--sets {protocol.sets} cannot serve {protocol.orders} orders: with these settings "
            f"a class's images depend on its step, so each order has a set of its own; give "
            f"--sets {protocol.orders}"
        )


def run(ready: Ready, provenance: "Provenance") -> "Record":
    """Make the sets, go through all class orders and gather the record."""
    from benchmarks.continual import facts
    from benchmarks.continual.run import results
    from benchmarks.provenance import Stopwatch, cost
    from benchmarks.record import Record
    from downstream.continual.protocol import VERSION

    protocol, watch, progress = ready.protocol, Stopwatch(), ranks.progress()
    measured, used = results(
        ready.orders, workers=ready.command.workers, progress=progress, watch=watch
    )
    return Record(
        kind="continual",
        version=facts.VERSION,
        label=ready.label,
        protocol=facts.Protocol(
            version=VERSION,
            dataset=shared.dataset_used(ready.data, ready.command.judge),
            steps=protocol.steps,
            strategy=protocol.strategy,
            network=protocol.network,
            recipe=protocol.recipe,
            normalisation=ready.data.train.normalisation.describe(),
            precision=ready.compute.precision,
        ),
        cell=facts.Cell(
            making=facts.making(ready.plan, seed=protocol.seed, sets=protocol.sets),
            orders=protocol.orders,
            networks=protocol.networks,
        ),
        results=facts.Results(
            sizes=[result.sizes for result in measured],
            matrices=[result.matrices for result in measured],
            memory_bytes=sum(s.bytes for s in used) // protocol.sets,
            classes=len(ready.data.train.classes),
        ),
        sets=used,
        cost=cost(watch.seconds, ready.compute.device),
        provenance=provenance,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
