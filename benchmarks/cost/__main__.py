"""What things cost, measured side by side in one run.

python -m benchmarks.cost                   all of it
python -m benchmarks.cost --part step       one table
"""

import dataclasses
import importlib
import sys
from pathlib import Path

from benchmarks.costs import PARTS
from distill.runtime.flags import cli
from distill.runtime.mistake import Mistake, one_line, unknown


@dataclasses.dataclass(frozen=True)
class Cost:
    """Time the engine and what the libraries around it cost, and print a table for each part.

    step: a matching step against the published algorithm in its published shape and against
    arithmetic alone. networks: several networks trained on one small set. continual_step: what
    Avalanche adds. trial: what NNI adds. startup: commands and imports. growth: with classes and
    images. memory: of a step.
    """

    part: str = "all"
    """One of the above; all takes about ten minutes on two cores."""
    turns: int = 5
    """How often each thing is timed."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    out: Path = Path("runs")
    """Where the records go."""


def main(args: list[str]) -> None:
    """Measure what `args` ask for; print each table and write its record when it is there."""
    command = cli(Cost, args, prog="python -m benchmarks.cost")
    if command.part not in ("all", *PARTS):
        raise unknown("part", command.part, ["all", *PARTS])
    if command.turns < 1:
        raise Mistake(f"--turns {command.turns}: give 1 or more")

    import torch

    from benchmarks.record import Record, provenance
    from benchmarks.report import publish
    from distill.runtime.compute import choose

    device, threads = choose(command.device), torch.get_num_threads()
    for part in PARTS if command.part == "all" else [command.part]:
        torch.set_num_threads(threads)  # a part on small images leaves one
        made = provenance(
            "benchmarks.cost", ["--part", part, "--turns", str(command.turns)], device
        )
        module = importlib.import_module(f"benchmarks.costs.{part}")
        rows = module.rows(command.turns, device)
        record = Record(
            kind="cost",
            protocol={"part": part, "device": str(device), "threads": threads},
            cell={},
            metrics={"title": module.TITLE, "note": module.NOTE, "rows": rows},
            cost={},
            provenance=made,
        )
        publish(record, command.out)


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
