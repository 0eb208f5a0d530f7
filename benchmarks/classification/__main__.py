"""Accuracy of networks trained on a small set alone: the field's first table.

python -m benchmarks.classification --method datadam --dataset cifar10 --ipc 1

Several networks judge the same sets, each in a record of its own: --network alexnet,vgg11-batch
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import command as shared
from benchmarks.opened import label, opened
from distill import choices, presets
from distill.runtime import ranks, registry
from distill.runtime.flags import chosen, configure, differences, parse
from distill.runtime.mistake import Mistake, one_line

if TYPE_CHECKING:
    from benchmarks.classification.run import Judged, Judging, Row
    from benchmarks.record import Record
    from benchmarks.schema import Provenance
    from distill.images import Data
    from distill.networks import Spec
    from distill.runtime.compute import Compute
    from distill.training.recipes import Recipe

PROG = "python -m benchmarks.classification"
Evaluation = chosen(
    "How the networks are trained (dm: the field's; idc: with CutMix; short: dm in fewer epochs;"
    " dc: DC's own, 300 epochs without DSA)",
    *presets.RECIPES,
)
Judge = chosen("Which images judge; to choose settings, validation", *shared.JUDGES)


@dataclasses.dataclass(frozen=True)
class Classification:
    """Make some sets, train fresh networks on each, report their test accuracy.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.classification
    --method datadam --help` lists them.
    """

    method: choices.MethodOrSet = "datadam"
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: choices.Ipc = 1
    """Images per class."""
    sets: choices.Count = 3
    """How many sets, each from a seed of its own."""
    networks: choices.Count = 5
    """How many networks are trained on each set."""
    network: str | None = None
    """The network that is trained, or several with commas between them, which judge the same sets:
    alexnet,vgg11-batch,resnet18-batch,vit; the published ConvNet of width 128 if not given."""
    recipe: Evaluation = "dm"
    epochs: choices.Epochs = None
    """Of the training, instead of the recipe's."""
    preset: choices.Preset = "laptop"
    zca: bool = False
    """Distill and train on ZCA-whitened images, as the published CIFAR results do; off unless
    given, whatever the preset, as in the released code."""
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
    image_size: choices.ImageSize = None
    out: Path = Path("runs")
    """Where the record and the sets go."""


@ranks.led()
def main(args: list[str]) -> None:
    """Run what `args` ask for, write its records and show them beside the others."""
    command, flags = opened(*parse(Classification, args, prog=PROG), args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks.classification import networks
    from benchmarks.provenance import provenance

    records = run(ready, provenance("benchmarks.classification", args, ready.compute.device))
    if len(records) == 1:
        shared.publish(records[0], command.out)
    else:
        shared.publish_together(records, command.out, networks.pages)


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked.

    Attributes:
        rows: what it makes, of one method and each of its networks.
    """

    command: Classification
    rows: "tuple[Row, ...]"
    data: "Data"
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
            rows=self.rows,
            test=self.data.test,
            recipe=self.recipe,
            seed=self.command.seed,
            count=self.command.sets,
            networks=self.command.networks,
            work=self.command.out / "work",
        )


Variants = Callable[[Any], Sequence[Any]]
"""From the configuration that a command asks for to all those that it makes rows of."""


def prepare(
    command: Classification,
    flags: list[str],
    *,
    prog: str = PROG,
    variants: Variants = lambda config: [config],
) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks.classification.facts import usual_network
    from benchmarks.classification.run import Row
    from distill import formation
    from distill.networks import drafted
    from distill.plan import Plan
    from distill.runtime import cores
    from distill.sets import disk
    from distill.training import recipes
    from distill.whitening import whitened

    about = shared.about(command)
    preset = registry.load("distill.methods", command.method).preset(
        about, command.ipc, command.preset
    )
    configs = variants(configure(preset, flags, prog=prog, command=type(command)))
    for config in configs:
        formation.require(config.formation, about.shape)
    recipe = recipes.named(command.recipe, about)
    if command.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=command.epochs)
    specs = judges(usual_network(about) if command.network is None else command.network)
    data, compute = shared.load(command, flags)
    for spec in specs:
        drafted(spec, data.train.shape, classes=len(data.train.classes))
    cores.require(command.workers, compute.device)
    rows = [
        Row(
            label(flags, shared.label(command.method, command.preset, differences(preset, config))),
            Plan(command.method, config, command.ipc, command.seed),
            spec,
        )
        for spec in specs
        for config in configs
    ]
    used = whitened(data) if command.zca else data
    ready = Ready(command, tuple(rows), used, recipe, compute)
    disk.require(command.out, ready.judging.wanted(), ready.judging)
    return ready


def judges(names: str) -> "list[Spec]":
    """The networks of names with commas between them, in their order.

    Raises:
        Mistake: there is no such network, or one is named twice.
    """
    from distill.networks import parse as parse_network

    specs = [parse_network(name) for name in names.split(",")]
    for place, spec in enumerate(specs):
        if spec in specs[:place]:
            raise Mistake(f"--network names {spec} twice; name it once")
    return specs


def run(ready: Ready, provenance: "Provenance") -> "list[Record]":
    """Make the sets, train on them and gather the records, one a row."""
    from benchmarks.classification.run import judged

    given = {"workers": ready.command.workers, "progress": ranks.progress()}
    each = judged(ready.judging, **given)
    return [_record(ready, row, own, provenance) for row, own in zip(ready.rows, each, strict=True)]


def _record(ready: Ready, row: "Row", own: "Judged", provenance: "Provenance") -> "Record":
    from benchmarks.classification import facts
    from benchmarks.provenance import cost
    from benchmarks.record import Record
    from benchmarks.schema import making, set_used

    command = ready.command
    return Record(
        kind="classification",
        version=facts.VERSION,
        label=row.label,
        protocol=facts.Protocol(
            dataset=shared.dataset_used(ready.data, command.judge),
            network=str(row.spec),
            recipe=ready.recipe,
            normalisation=ready.data.train.normalisation.describe(),
            precision=ready.compute.precision,
        ),
        cell=facts.Cell(
            making=making(row.plan, seed=command.seed, sets=command.sets),
            networks=command.networks,
        ),
        results=facts.Results(accuracies=own.accuracies),
        sets=[set_used(small) for small in own.sets],
        cost=cost(own.seconds, ready.compute.device),
        provenance=provenance,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
