"""A trial of architecture search: what of it is arithmetic, and what NNI and the ledger add."""

import contextlib
import dataclasses
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cost.clock import computing, milliseconds, take_turns
from benchmarks.cost.settings import Timing
from distill import datasets
from distill.runtime.compute import Compute
from distill.runtime.ledger import Ledger
from distill.training.recipes import Recipe
from downstream.nas import proxy, trial
from downstream.nas.search import Engine, Search, Trials
from downstream.nas.space import ConvNets

TITLE = "A trial of architecture search"
NOTE = """\
The default dataset, the first 40 networks of the laptop space, in this process; the last row is the
proxy run of the benchmark. alone: build, train and test a network. with NNI: the same through NNI
and the ledger. overhead: what these add to a trial, the parameters and FLOPs of its network
included.
"""
NETWORKS = 40
CASES = (("2 steps on all images", 2, None), ("80 steps on 100 images", 80, 100))
"""Optimiser steps, and on how many images; None for all."""


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a length of the training."""
    table = []
    compute = settings.usual(datasets.about(datasets.DEFAULT).shape)
    with computing(compute):
        for name, steps, images in CASES:
            same = SameTrials(steps, images, compute)
            times = take_turns([same.alone, same.through], settings.turns)
            table.append({"trial": name, **columns(*times)})
    return table


def columns(alone: Sequence[float], through: Sequence[float]) -> dict[str, float]:
    """Of the seconds that NETWORKS trials took, turn by turn."""
    over = [b - a for a, b in zip(alone, through, strict=True)]
    return {
        "alone ms": milliseconds(alone, NETWORKS),
        "with NNI ms": milliseconds(through, NETWORKS),
        "overhead ms": milliseconds(over, NETWORKS),
        "overhead %": round(100 * sum(over) / sum(through), 1),
    }


class SameTrials:
    """The same trials alone, and through NNI with each one in a ledger."""

    def __init__(self, steps: int, images: int | None, compute: Compute) -> None:
        root = Path("data")
        data = datasets.load(datasets.DEFAULT, root=root)
        settings = proxy.whole_settings(
            data,
            dataset=datasets.DEFAULT,
            image_size=None,
            root=root,
            recipe=Recipe(batch=64, operations=data.train.about.operations),
            compute=compute,
        )
        job = trial.job(dataclasses.replace(settings, steps=steps), data, None)
        self.job = dataclasses.replace(job, images=job.images[:images], labels=job.labels[:images])
        self.space = ConvNets("laptop", data.train.shape, len(data.train.classes))
        self.networks = self.space.sample(NETWORKS)

    def alone(self) -> float:
        """Seconds of all trials."""
        began = time.perf_counter()
        for spec in self.networks:
            trial.evaluate(self.space.build(spec), self.job)
        return time.perf_counter() - began

    def through(self) -> float:
        """Seconds of all trials through NNI; what it says of its progress is left out."""
        search = Search("grid", self.networks, NETWORKS, seed=0)
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(Path(folder), "cost", self.job.settings.identity())
            engine = Engine("in-process", None, 1, 8080, Path(folder))
            trials = Trials("trials", self.job, ledger, engine, self.space)
            began = time.perf_counter()
            with contextlib.redirect_stderr(io.StringIO()):
                trials.run(search)
            return time.perf_counter() - began
