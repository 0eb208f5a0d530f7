"""Several networks trained on one small set: `distill.train.fit` against one after the other."""

from typing import Any

import torch

from benchmarks.costs.clock import milliseconds, noise_images, ratio, take_turns, timed
from distill import train
from distill.device import tune
from distill.networks import build_many, parse
from distill.seeding import generator
from distill.stack import Stack, stack

TITLE = "A training step of 5 networks on one small set"
NOTE = """\
One mini-batch for each of 5 networks, DSA included. one by one: each network alone, every operation
on all threads; one thread: the same on one. fit: as `distill.train.fit` does it, in the stated way.
times: the throughput of fit against one by one, and against the better of both.
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
        real = noise_images(shape, 10, ipc)
        images = real.normalisation(real.images).to(device)
        labels = real.labels.to(device)
        recipe = train.Recipe(epochs=STEPS)
        generators = [generator(0, k) for k in range(COUNT)]
        spec = parse(f"convnet-w{width}")
        networks = [
            n.to(device) for n in build_many(spec, shape, classes=10, generators=generators)
        ]

        def alone(count: int, networks=networks, images=images, labels=labels, recipe=recipe):
            torch.set_num_threads(count)
            for network in networks:
                train.fit([network], images, labels, recipe=recipe, seed=0)

        def together(networks=networks, images=images, labels=labels, recipe=recipe, shape=shape):
            torch.set_num_threads(threads)
            tune(device, shape)
            train.fit(networks, images, labels, recipe=recipe, seed=0)

        slow, one, fast = take_turns(
            [timed(lambda: alone(threads)), timed(lambda: alone(1)), timed(together)], turns
        )
        better = min(slow, one, key=lambda times: milliseconds(times))
        together()
        parts = torch.get_num_threads() if device.type == "cpu" else 1
        way = "one after the other" if isinstance(stack(networks, shape), Stack) else "grouped"
        found.append(
            {
                "5 networks": name,
                "one by one ms": milliseconds(slow, STEPS),
                "one thread ms": milliseconds(one, STEPS),
                "fit ms": milliseconds(fast, STEPS),
                "times": ratio(slow, fast),
                "times the better": ratio(better, fast),
                "way": f"{way}, on {parts} core{'s' * (parts > 1)}",
            }
        )
        torch.set_num_threads(threads)
    return found
