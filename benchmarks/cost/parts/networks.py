"""Several networks trained on one small set: `distill.train.fit` against the published shape."""

import copy
from typing import Any

import torch

from benchmarks import reference
from benchmarks.costs.clock import (
    milliseconds,
    noise_images,
    ratio,
    take_turns,
    timed,
    usual_memory,
)
from benchmarks.costs.step import multiply_add_rate, multiply_adds
from distill import train
from distill.networks import build_many, parse
from distill.runtime.compute import tune
from distill.runtime.seeding import generator
from distill.stack import Grouped, stack

TITLE = "A training step of 5 networks on one small set"
NOTE = """\
One mini-batch for each of 5 networks, DSA included. one by one: benchmarks/reference.py, each
network alone; the tests hold both to the same trained networks. fit: as `distill.train.fit` does
it, in the stated way. floor: the multiply-adds of the convolutions, forward and back, at the rate
at which this machine multiplies large matrices in the same run.
"""
CASES = (
    ("8x8, width 32, 1 a class", (1, 8, 8), 32, 1),
    ("8x8, width 32, 10 a class", (1, 8, 8), 32, 10),
    ("32x32, width 32, 1 a class", (3, 32, 32), 32, 1),
    ("32x32, width 32, 10 a class", (3, 32, 32), 32, 10),
    ("32x32, width 128, 1 a class", (3, 32, 32), 128, 1),
    ("32x32, width 128, 10 a class", (3, 32, 32), 128, 10),
)
COUNT = 5
STEPS = 8
"""In one turn."""


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a size."""
    threads = torch.get_num_threads()
    found = []
    for name, shape, width, ipc in CASES:
        torch.set_num_threads(threads)
        rate = multiply_add_rate(device)
        tune(device, shape)
        real = noise_images(shape, 10, ipc)
        images = real.normalisation(real.images).to(device)
        labels = real.labels.to(device)
        recipe = train.Recipe(epochs=STEPS)
        spec = parse(f"convnet-w{width}")
        generators = [generator(0, k) for k in range(COUNT)]
        networks = [
            n.to(device) for n in build_many(spec, shape, classes=10, generators=generators)
        ]
        others = copy.deepcopy(networks)

        def one_by_one(networks=others, images=images, labels=labels, recipe=recipe) -> None:
            torch.set_num_threads(threads)
            with usual_memory():
                for k, network in enumerate(networks):
                    reference.train(network, images, labels, recipe=recipe, k=k)

        def fit(networks=networks, images=images, labels=labels, recipe=recipe, shape=shape):
            tune(device, shape)
            train.fit(networks, images, labels, recipe=recipe, seed=0)

        slow, fast = take_turns([timed(one_by_one), timed(fit, again=True)], turns)
        grouped = isinstance(stack(networks, shape), Grouped)
        forward = multiply_adds(spec, shape, COUNT * len(images))
        found.append(
            {
                "5 networks": name,
                "one by one ms": milliseconds(slow, STEPS),
                "fit ms": milliseconds(fast, STEPS),
                "times": ratio(slow, fast),
                "floor ms": round(1000 * 3 * forward / rate, 2),
                "way": "grouped convolutions" if grouped else "one after the other",
                "threads": torch.get_num_threads(),
            }
        )
    torch.set_num_threads(threads)
    return found
