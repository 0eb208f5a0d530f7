"""What things cost, measured side by side in one run.

python -m benchmarks.cost                                all of it
python -m benchmarks.cost --part step --threads 1 2      one table, on one thread and on two
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import command as shared
from distill import choices
from distill.runtime import registry
from distill.runtime.flags import chosen, cli
from distill.runtime.mistake import Mistake, one_line, unknown

if TYPE_CHECKING:
    from benchmarks.cost.settings import Timing
    from benchmarks.record import Record
    from benchmarks.schema import Provenance

PACKAGE = "benchmarks.cost.parts"
PARTS = registry.names(PACKAGE)
Part = chosen("Which table; all takes an hour or two on two cores", "all", *PARTS)
Precision = chosen(
    "Of the rows; auto has float32, and bfloat16 where the processor multiplies it",
    *("auto", "float32", "bfloat16"),
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """Time the engine, the libraries around it and whole commands; print a table for each part.

    The engine is timed beside the published algorithm in its published shape and beside its
    convolutions alone; Avalanche and NNI beside the same work without them.
    """

    part: Part = "all"
    turns: int = 5
    """How often each thing is timed."""
    precision: Precision = "auto"
    threads: tuple[int, ...] = ()
    """Numbers of threads that have rows: 1 and all if not given."""
    device: choices.Device = "cpu"
    commands: tuple[str, ...] = ()
    """For the part cell: what to time, e.g. "continual --buffer random --orders 1"."""
    dataset: str | None = None
    """Of the part cell's larger commands; the first of ten classes in 32x32 if not given."""
    classes: int = 1000
    """For the part scaling: in its file of made-up images."""
    images: int = 1300
    """For the part scaling: of each class in that file."""
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    out: Path = Path("runs")
    """Where the records go."""


def main(args: list[str]) -> None:
    """Measure what `args` ask for; print each table and write its record when it is there."""
    command = cli(Cost, args, prog="python -m benchmarks.cost")
    if command.part not in ("all", *PARTS):
        raise unknown("part", command.part, ["all", *PARTS])
    for name, least in (("turns", 1), ("classes", 4), ("images", 50)):
        if getattr(command, name) < least:
            raise Mistake(f"--{name} {getattr(command, name)}: give {least} or more")

    from benchmarks.provenance import provenance
    from benchmarks.record import read
    from distill.runtime.files import require_writable

    settings = prepare(command)
    for folder in ("records", "figures"):
        require_writable(command.out / folder)
    read(shared.record_folders(command.out))  # refused now, not when all is measured
    for part in PARTS if command.part == "all" else [command.part]:
        begun = provenance("benchmarks.cost", args, settings.device)
        shared.publish(measure(part, command.precision, settings, begun), command.out)


def prepare(command: Cost) -> "Timing":
    """What the parts are measured with.

    Raises:
        Mistake: no such device, precision or dataset.
    """
    from benchmarks.cost import settings
    from distill.runtime.compute import choose

    device = choose(command.device)
    if command.dataset is not None:
        registry.require("distill.datasets", command.dataset)
    return settings.Timing(
        turns=command.turns,
        device=device,
        precisions=settings.precisions(command.precision, device),
        threads=settings.threads(command.threads),
        commands=command.commands,
        dataset=command.dataset,
        data_root=command.data_root,
        classes=command.classes,
        images=command.images,
    )


def measure(part: str, precision: str, settings: "Timing", begun: "Provenance") -> "Record":
    """The record of one part, measured now; precision: as given with --precision."""
    from benchmarks.cost import facts
    from benchmarks.cost.settings import left_out
    from benchmarks.provenance import Stopwatch, cost
    from benchmarks.record import Record

    module, watch = importlib.import_module(f"{PACKAGE}.{part}"), Stopwatch()
    if getattr(module, "ONCE", False):
        settings = dataclasses.replace(settings, turns=1)
    rows = module.rows(settings)
    watch.lap("measure")
    note = module.NOTE
    if any("precision" in row for row in rows):
        note += left_out(precision, settings.device)
    return Record(
        kind="cost",
        version=facts.VERSION,
        label=part,
        protocol=facts.Protocol(
            part=part, device=str(settings.device), threads=settings.threads[-1]
        ),
        cell=facts.Cell(
            turns=settings.turns,
            precisions=settings.precisions,
            threads=settings.threads,
            commands=settings.commands,
            classes=settings.classes,
            images=settings.images,
        ),
        results=facts.Results(title=module.TITLE, note=note, rows=rows),
        sets=[],
        cost=cost(watch.seconds, settings.device),
        provenance=begun,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
