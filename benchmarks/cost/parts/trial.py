"""A trial of architecture search: what of it is arithmetic, and what NNI and the ledger add."""

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.costs.clock import Way, milliseconds, take_turns
from distill import datasets
from distill.networks import build
from distill.runtime.compute import tune
from distill.runtime.ledger import Ledger
from distill.runtime.seeding import generator
from distill.train import Recipe
from downstream import nas, proxy, space, trial  # noqa: F401  (NNI is loaded before the clock)
from downstream.nas.search import Engine, Search, Trials

TITLE = "A trial of architecture search"
NOTE = """\
Digits, the first 40 networks of the laptop space, in this process; the last row is the proxy run of
the benchmark. alone: build, train and test a network. with NNI: the same through NNI and the
ledger. overhead: what these add to a trial, the parameters and FLOPs of its network included.
"""
NETWORKS = 40
CASES = (("2 steps on all images", 2), ("80 steps on 100 images", 80))


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a length of the training."""
    tune(device, (1, 8, 8))
    found = []
    for name, steps in CASES:
        alone, through = take_turns(trials(steps, device), turns)
        over = [b - a for a, b in zip(alone, through, strict=True)]
        found.append(
            {
                "trial": name,
                "alone ms": milliseconds(alone, NETWORKS),
                "with NNI ms": milliseconds(through, NETWORKS),
                "overhead ms": milliseconds(over, NETWORKS),
                "overhead %": round(100 * sum(over) / sum(through), 1),
            }
        )
    return found


def trials(steps: int, device: torch.device) -> tuple[Way, Way]:
    """The same trials alone, and through NNI with each one in a ledger."""
    root = Path("data")
    data = datasets.load("digits", root=root)
    settings = proxy.whole_settings(
        data,
        dataset="digits",
        image_size=None,
        root=root,
        recipe=Recipe(batch=64),
        device=device,
    )
    job = trial.job(dataclasses.replace(settings, steps=steps), data, None)
    if steps > 2:
        job = dataclasses.replace(job, images=job.images[:100], labels=job.labels[:100])
    specs = space.sample("laptop", NETWORKS)
    search = Search("grid", "laptop", specs, NETWORKS, seed=0)

    def alone() -> float:
        began = time.perf_counter()
        for spec in specs:
            trial.evaluate(build(spec, (1, 8, 8), classes=10, generator=generator(0)), job)
        return time.perf_counter() - began

    def through() -> float:
        with tempfile.TemporaryDirectory() as folder:
            ledger = Ledger(Path(folder), "cost", settings.key())
            engine = Engine("in-process", None, 1, 8080, Path(folder))
            began = time.perf_counter()
            Trials("trials", job, ledger, engine, 10).run(search)
            return time.perf_counter() - began

    return alone, through
