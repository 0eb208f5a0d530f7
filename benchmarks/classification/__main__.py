"""Accuracy of networks trained on a small set alone: the field's first table.

python -m benchmarks.classification --method datadam --dataset cifar10 --ipc 1
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import command as shared
from distill import choices, presets
from distill.runtime import ranks, registry
from distill.runtime.flags import chosen, configure, differences, parse
from distill.runtime.mistake import one_line

if TYPE_CHECKING:
    from benchmarks.classification.run import Judging
    from benchmarks.record import Record
    from benchmarks.schema import Provenance
    from distill.images import Data
    from distill.networks import Spec
    from distill.plan import Plan
    from distill.recipes import Recipe
    from distill.runtime.compute import Compute

PROG = "python -m benchmarks.classification"
Evaluation = chosen(
    "How the networks are trained (dm: the field's; idc: with CutMix; short: dm in fewer epochs)",
    *presets.RECIPES,
)
Judge = chosen("Which images judge; to choose settings, validation", *shared.JUDGES)


@dataclasses.dataclass(frozen=True)
class Classification:
    """Make some sets, train fresh networks on each, report their test accuracy.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.classification
    --method datadam --help` lists them.
    """

    method: choices.Method = "datadam"
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: choices.Ipc = 1
    """Images per class."""
    sets: choices.Count = 3
    """How many sets, each from a seed of its own."""
    networks: choices.Count = 5
    """How many networks are trained on each set."""
    network: str | None = None
    """The network that is trained; the published ConvNet of width 128 if not given."""
    recipe: Evaluation = "dm"
    epochs: choices.Epochs = None
    """Of the training, instead of the recipe's."""
    preset: choices.Preset = "laptop"
    zca: bool = False
    """Distill and train on ZCA-whitened images, as the published CIFAR results do."""
    seed: choices.Seed = 0
    """The same seed gives the same record."""
    judge: Judge = "test"
    device: choices.Device = "auto"
    precision: choices.Precision = "auto"
    compile: choices.Compile = "auto"
    deterministic: choices.Deterministic = False
    workers: choices.Workers = None
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for a dataset of your own pictures."""
    out: Path = Path("runs")
    """Where the record and the sets go."""


@ranks.led()
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

    @property
    def judging(self) -> "Judging":
        """What the trainings of its networks share."""
        from benchmarks.classification.run import Judging

        return Judging(
            real=self.data.train,
            compute=self.compute,
            sets=self.command.out / "sets",
            plan=self.plan,
            test=self.data.test,
            spec=self.spec,
            recipe=self.recipe,
            seed=self.command.seed,
            networks=self.command.networks,
            work=self.command.out / "work",
        )


def prepare(command: Classification, flags: list[str]) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from distill import disk, formation, recipes
    from distill.images import whitened
    from distill.networks import drafted
    from distill.networks import parse as parse_network
    from distill.plan import Plan
    from distill.runtime import cores

    about = shared.about(command)
    preset = registry.load("distill.methods", command.method).preset(
        about, command.ipc, command.preset
    )
    config = configure(preset, flags, prog=PROG, command=Classification)
    formation.require(config.formation, about.shape)
    recipe = recipes.named(command.recipe, about)
    if command.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=command.epochs)
    usual = f"convnet-d{about.depth}-w128-instance-relu-avg"
    spec = parse_network(usual if command.network is None else command.network)
    data, compute = shared.load(command, flags)
    drafted(spec, data.train.shape, classes=len(data.train.classes))
    cores.require(command.workers, compute.device)
    plan = Plan(command.method, config, command.ipc, command.seed)
    ready = Ready(
        command,
        plan,
        shared.label(command.method, command.preset, differences(preset, config)),
        whitened(data) if command.zca else data,
        spec,
        recipe,
        compute,
    )
    disk.require(command.out, ready.judging.wanted(command.sets), ready.judging)
    return ready


def run(ready: Ready, provenance: "Provenance") -> "Record":
    """Make the sets, train on them and gather the record."""
    from benchmarks.classification import facts
    from benchmarks.classification.run import accuracies
    from benchmarks.provenance import Stopwatch, cost
    from benchmarks.record import Record
    from benchmarks.schema import making, set_used

    command, watch = ready.command, Stopwatch()
    measured, sets = accuracies(
        ready.judging,
        sets=command.sets,
        workers=command.workers,
        progress=ranks.progress(),
        watch=watch,
    )
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
        results=facts.Results(accuracies=measured),
        sets=[set_used(small) for small in sets],
        cost=cost(watch.seconds, ready.compute.device),
        provenance=provenance,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
