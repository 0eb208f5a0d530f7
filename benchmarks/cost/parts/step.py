"""A matching step against the same step in its published shape, and against arithmetic alone."""

import functools
import sys
from collections.abc import Callable
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
from distill import matching
from distill.methods import datadam
from distill.networks import Spec, parse
from distill.runtime.compute import tune

TITLE = "A faithful matching step (--method.networks 0)"
NOTE = """\
DataDAM, 10 classes, 128 real images a class. reference: benchmarks/reference.py, the published
algorithm in its published shape; the tests hold both to the same loss and gradient. compiled: ours
with --method.compiled, after its warming up. floor: the multiply-adds of the convolutions alone
(GMAC: real images forward, synthetic images forward and back to the pixels), at the rate at which
this machine multiplies large matrices in the same run.
MB: the least that the activations between the layers must move, each written and read once.
"""
CASES = (
    ("32x32, width 128, 10 a class", (3, 32, 32), 128, 10),
    ("32x32, width 128, 1 a class", (3, 32, 32), 128, 1),
    ("32x32, width 32, 10 a class", (3, 32, 32), 32, 10),
    ("8x8, width 32, 10 a class", (1, 8, 8), 32, 10),
)
CLASSES, REAL = 10, 128

Size = tuple[int, int, int]
"""(channels, height, width) of an image."""


def rows(turns: int, device: torch.device) -> list[dict[str, Any]]:
    """A row a size."""
    found = []
    for name, shape, width, ipc in CASES:
        tune(device, shape)
        network = f"convnet-w{width}"
        plain = plain_step(shape, network, CLASSES, ipc, REAL, device)
        ours, fused = (
            step(shape, network, CLASSES, ipc, REAL, device, compiled) for compiled in (False, True)
        )
        ways = [timed(plain), timed(ours, again=True), timed(fused, again=True)]
        slow, fast, faster = take_turns(ways, turns)
        spec = parse(network)
        total = multiply_adds(spec, shape, CLASSES * (REAL + 2 * ipc))
        floor = 1000 * total / multiply_add_rate(device)
        found.append(
            {
                "step": name,
                "reference ms": milliseconds(slow),
                "ours ms": milliseconds(fast),
                "times faster": ratio(slow, fast),
                "compiled ms": milliseconds(faster),
                "floor ms": round(floor, 2),
                "ours / floor": round(milliseconds(fast) / floor, 2),
                "compiled / floor": round(milliseconds(faster) / floor, 2),
                "GMAC": round(total / 1e9, 2),
                "MB": round(moved(spec, shape) * CLASSES * (REAL + 2 * ipc) / 2**20, 1),
            }
        )
    return found


def step(
    shape: Size,
    network: str,
    classes: int,
    ipc: int,
    real: int,
    device: torch.device,
    compiled: bool = False,
) -> Callable[[], object]:
    """A faithful matching step of DataDAM on images of noise, to be called."""
    config = datadam.Config(network=network, real_batch=real)
    statistic = functools.partial(datadam.statistic, config=config)
    images = noise_images(shape, classes, max(real, ipc))
    run = matching.Run(statistic, images, config, 0, device)
    if compiled:
        run.compile(functools.partial(print, file=sys.stderr))
    return functools.partial(run.backward, run.first_images(ipc).requires_grad_(), 0)


def plain_step(
    shape: Size, network: str, classes: int, ipc: int, real: int, device: torch.device
) -> Callable[[], object]:
    """The same in its published shape."""
    config = datadam.Config(network=network, real_batch=real)
    images = noise_images(shape, classes, max(real, ipc))
    ours = torch.randn(classes, ipc, *shape).to(device).requires_grad_()

    def plainly() -> None:
        with usual_memory():
            reference.loss(ours, images, config).backward()

    return plainly


def multiply_adds(spec: Spec, shape: Size, images: int) -> int:
    """Of a pooling ConvNet's convolutions, forward; backward to the input takes as many."""
    channels, height, width = shape
    total = 0
    for _ in range(spec.depth):
        total += channels * spec.width * 9 * height * width
        channels, height, width = spec.width, height // 2, width // 2
    return total * images


def moved(spec: Spec, shape: Size) -> int:
    """Bytes of an image's activations, each block's written and read once."""
    return sum(2 * 4 * spec.width * shape[1] * shape[2] // 4**layer for layer in range(spec.depth))


def multiply_add_rate(device: torch.device, size: int = 1024) -> float:
    """Multiply-adds a second of large matrix multiplications, the best of a few."""
    a = torch.randn(size, size, device=device)
    return size**3 / min(timed(lambda: a @ a)() for _ in range(20))
