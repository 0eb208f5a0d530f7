"""Accuracy of networks trained on a small set alone: the field's first table.

python -m benchmarks.classification --method datadam --dataset cifar10 --ipc 1
"""

import dataclasses
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import command as shared
from distill import choices
from distill.runtime import registry
from distill.runtime.flags import chosen, configure, differences, parse
from distill.runtime.mistake import Mistake, one_line

if TYPE_CHECKING:
    from benchmarks.provenance import Stopwatch
    from benchmarks.record import Record
    from benchmarks.schema import Provenance
    from distill.images import Data
    from distill.networks import Spec
    from distill.plan import Plan
    from distill.runtime.compute import Compute
    from distill.runtime.progress import Progress
    from distill.synthetic import SyntheticSet
    from distill.train import Recipe

PROG = "python -m benchmarks.classification"
Judge = chosen("Which images judge; to choose settings, validation", *shared.JUDGES)


@dataclasses.dataclass(frozen=True)
class Classification:
    """Make some sets, train fresh networks on each, report their test accuracy.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.classification
    --method datadam --help` lists them.
    """

    method: choices.Method = "datadam"
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: int = 1
    """Images per class."""
    sets: int = 3
    """How many sets, each from a seed of its own."""
    networks: int = 5
    """How many networks are trained on each set."""
    network: str | None = None
    """The network that is trained; the published ConvNet of width 128 if not given."""
    epochs: int = 1000
    """Of the training."""
    preset: choices.Preset = "laptop"
    zca: bool = False
    """Distill and train on ZCA-whitened images, as the published CIFAR results do."""
    seed: int = 0
    """The same seed gives the same record."""
    judge: Judge = "test"
    device: choices.Device = "auto"
    precision: choices.Precision = "auto"
    compile: choices.Compile = "auto"
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for a dataset of your own pictures."""
    out: Path = Path("runs")
    """Where the record and the sets go."""


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    command, flags = parse(Classification, args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks.provenance import provenance

    record = run(ready, provenance("benchmarks.classification", args, ready.compute.device))
    shared.publish(record, command.out)


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked."""

    command: Classification
    plan: "Plan"
    label: str
    data: "Data"
    spec: "Spec"
    recipe: "Recipe"
    compute: "Compute"


def prepare(command: Classification, flags: list[str]) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from distill.images import whitened
    from distill.networks import parse as parse_network
    from distill.plan import Plan
    from distill.train import Recipe

    about = shared.about(command)
    preset = registry.load("distill.methods", command.method).preset(
        about, command.ipc, command.preset
    )
    config = configure(preset, flags, prog=PROG)
    if min(command.sets, command.networks, command.epochs) < 1:
        raise Mistake("--sets, --networks and --epochs take 1 or more")
    usual = f"convnet-d{about.depth}-w128-instance-relu-avg"
    spec = parse_network(usual if command.network is None else command.network)
    data, compute = shared.load(command)
    return Ready(
        command,
        Plan(command.method, config, command.ipc, command.seed),
        shared.label(command.method, command.preset, differences(preset, config)),
        whitened(data) if command.zca else data,
        spec,
        Recipe(epochs=command.epochs, operations=about.operations),
        compute,
    )


def run(ready: Ready, provenance: "Provenance") -> "Record":
    """Make the sets, train on them and gather the record."""
    from benchmarks.classification import facts
    from benchmarks.provenance import Stopwatch, cost
    from benchmarks.record import Record
    from benchmarks.schema import making, set_used

    command, watch = ready.command, Stopwatch()
    accuracies, sets = _sets(ready, watch)
    return Record(
        kind="classification",
        version=facts.VERSION,
        label=ready.label,
        protocol=facts.Protocol(
            dataset=shared.dataset_used(ready.data, command.judge),
            network=str(ready.spec),
            recipe=ready.recipe,
            normalisation=ready.data.train.normalisation.describe(),
            precision=ready.compute.precision,
        ),
        cell=facts.Cell(
            making=making(ready.plan, seed=command.seed, sets=command.sets),
            networks=command.networks,
        ),
        results=facts.Results(accuracies=accuracies),
        sets=[set_used(small) for small in sets],
        cost=cost(watch.seconds, ready.compute.device),
        provenance=provenance,
    )


def _sets(ready: Ready, watch: "Stopwatch") -> tuple[list[list[float]], list["SyntheticSet"]]:
    """The accuracies of each set's networks, and the sets."""
    from distill.plan import distill
    from distill.runtime.progress import Progress
    from distill.runtime.seeding import derive
    from distill.runtime.store import Store

    command, progress = ready.command, Progress(sys.stderr)
    store = Store(command.out / "sets", progress.say)
    accuracies, sets = [], []
    for number in range(command.sets):
        seed = derive(command.seed, "set", number)
        plan = dataclasses.replace(ready.plan, seed=seed)
        real = ready.data.train
        small = distill(plan, real, compute=ready.compute, store=store, progress=progress)
        watch.lap("distill")
        accuracies.append(_accuracies(ready, small, number, progress))
        watch.lap("train")
        sets.append(small)
        progress.say(f"set {number}: {statistics.fmean(accuracies[-1]):.2f} %")
    return accuracies, sets


def _accuracies(
    ready: Ready, small: "SyntheticSet", number: int, progress: "Progress"
) -> list[float]:
    """In percent, of fresh networks trained on set `number`."""
    from distill import train
    from distill.networks import build_many
    from distill.runtime.seeding import derive, generator

    (real, test), device = ready.data, ready.compute.device
    seed = derive(ready.command.seed, "evaluation", number)
    streams = [generator(seed, "network", k) for k in range(ready.command.networks)]
    networks = build_many(ready.spec, real.shape, classes=len(real.classes), generators=streams)
    networks = [network.to(device) for network in networks]
    images, labels = small.decoded()
    progress.start("training", ready.recipe.epochs)
    train.fit(
        networks,
        real.normalisation(images).to(device),
        labels.to(device),
        recipe=ready.recipe,
        seed=seed,
        progress=progress,
    )
    shown = test.normalisation(test.images).to(device)
    right = 100 * train.accuracy(networks, shown, test.labels).double()
    return right.round(decimals=4).tolist()


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
