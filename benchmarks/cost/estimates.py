"""What a whole run takes that nobody has waited for: measured steps times their number."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.cost.parts import scaling
from benchmarks.cost.parts.scaling import BATCH, LAPTOP, PAPER, TARGET, TRAINING, Case
from distill.methods import datadam
from distill.training.recipes import Recipe

CLASSES, NETWORKS = 1000, 5
"""Of the set, and trained on it, as the published protocol has it."""
GPU = 20.0
"""TFLOP/s that one GPU is taken to do of this work: assumed (docs/scaling.md), not measured."""
CORES, GPUS = (1, 2, 64), (1, 8)


class Workload(NamedTuple):
    """Jobs that do not depend on each other, and how often each kind of step comes in one."""

    name: str
    jobs: int
    steps: Mapping[str, float]


def runs() -> list[Workload]:
    """What a set of 1,000 classes of 50 images of 64x64 takes, and what judging it takes."""
    case, epochs = Case(), Recipe().epochs
    paper, laptop = (datadam.preset(case.about, case.ipc, name) for name in ("paper", "laptop"))
    quick = {LAPTOP: laptop.iterations, TARGET: laptop.networks}
    batches = epochs * CLASSES * case.ipc / BATCH
    return [
        Workload("distilling, --preset paper", CLASSES, {PAPER: paper.iterations}),
        Workload("distilling, --preset laptop", CLASSES, quick),
        Workload(
            f"training {NETWORKS} networks for {epochs} epochs", NETWORKS, {TRAINING: batches}
        ),
    ]


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Hours of each of the `runs`: on cores, from what was measured; on GPUs, as is assumed.

    One process does a job, so that more processes than jobs stand idle. On several cores a job
    takes as much of a core as it does on the two that were measured. The speed-up is by the clock,
    and so says little where other programs ran beside.

    Args:
        frame: of the part scaling.
    """
    known = {
        (row["work"], row["count"]): row
        for row in frame.to_dict("records")
        if row["varied"] == scaling.WORDS["processes"]
    }
    measured = [run for run in runs() if all({(s, 1), (s, 2)} <= known.keys() for s in run.steps)]
    return pd.DataFrame([_line(run, known) for run in measured])


def _line(
    run: Workload, known: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, float | str]:
    """Of the rows of one and of two processes, by the kind of step."""

    def total(column: str, processes: int) -> float:
        return sum(times * known[work, processes][column] for work, times in run.steps.items())

    speed_up = total("s", 1) / total("s", 2)
    tflop = total("GFLOP", 1) / 1000
    line = {"work": run.name, "PFLOP": run.jobs * tflop / 1000, "speed-up on 2 cores": speed_up}
    for count in CORES:
        hours = total("core s", min(count, 2)) / 3600
        line[f"hours, {_counted(count, 'core')}"] = hours * math.ceil(run.jobs / count)
    for count in GPUS:
        rounds = math.ceil(run.jobs / count)
        line[f"hours, {_counted(count, 'GPU')} (assumed)"] = rounds * tflop / GPU / 3600
    return line


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number > 1)
