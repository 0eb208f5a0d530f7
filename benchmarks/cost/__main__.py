"""What things cost, measured side by side in one run.

python -m benchmarks.cost                   all of it
python -m benchmarks.cost --part step       one table
"""

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
    import torch

    from benchmarks.record import Record
    from benchmarks.schema import Provenance

PACKAGE = "benchmarks.cost.parts"
PARTS = registry.names(PACKAGE)
Part = chosen("Which table; all takes about ten minutes on two cores", "all", *PARTS)


@dataclasses.dataclass(frozen=True)
class Cost:
    """Time the engine and the libraries around it, and print a table for each part.

    The engine is timed beside the published algorithm in its published shape and beside its
    convolutions alone; Avalanche and NNI beside the same work without them.
    """

    part: Part = "all"
    turns: int = 5
    """How often each thing is timed."""
    device: choices.Device = "cpu"
    out: Path = Path("runs")
    """Where the records go."""


def main(args: list[str]) -> None:
    """Measure what `args` ask for; print each table and write its record when it is there."""
    command = cli(Cost, args, prog="python -m benchmarks.cost")
    if command.part not in ("all", *PARTS):
        raise unknown("part", command.part, ["all", *PARTS])
    if command.turns < 1:
        raise Mistake(f"--turns {command.turns}: give 1 or more")

    from benchmarks.provenance import provenance
    from distill.runtime.compute import choose
    from distill.runtime.files import require_writable

    device = choose(command.device)
    require_writable(command.out / "records")
    for part in PARTS if command.part == "all" else [command.part]:
        begun = provenance("benchmarks.cost", args, device)
        shared.publish(measure(part, command.turns, device, begun), command.out)


def measure(part: str, turns: int, device: "torch.device", begun: "Provenance") -> "Record":
    """The record of one part, measured now."""
    from benchmarks.cost import facts
    from benchmarks.provenance import Stopwatch, cost
    from benchmarks.record import Record

    module, watch = importlib.import_module(f"{PACKAGE}.{part}"), Stopwatch()
    rows = module.rows(turns, device)
    watch.lap("measure")
    return Record(
        kind="cost",
        version=facts.VERSION,
        label=part,
        protocol=facts.Protocol(part=part, device=str(device), threads=begun.hardware.threads),
        cell=facts.Cell(turns=turns),
        results=facts.Results(title=module.TITLE, note=module.NOTE, rows=rows),
        sets=[],
        cost=cost(watch.seconds, device),
        provenance=begun,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
