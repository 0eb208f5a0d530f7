"""What things cost, measured side by side in one run.

python -m benchmarks.cost
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from distill.mistake import one_line
from distill.overrides import cli

if TYPE_CHECKING:
    import torch


@dataclasses.dataclass(frozen=True)
class Cost:
    """Time what the libraries around our training cost.

    A training step in Avalanche against the same step in a bare loop; a trial of architecture
    search through NNI and the ledger against the same trial alone. Both sides do the same work and
    take turns; ratio and overhead are medians over the turns, so that a machine that slows down
    for a while does not decide.
    """

    turns: int = 9
    """How often each is timed."""
    steps: int = 60
    """Training steps in one turn."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""


CASES = (
    ("digits, 1 image a class, 3 networks", (1, 8, 8), 10, 3),
    ("digits, 10 images a class, 3 networks", (1, 8, 8), 100, 3),
    ("digits, 1 image a class, 1 network", (1, 8, 8), 10, 1),
    ("CIFAR-10, 1 image a class, 3 networks", (3, 32, 32), 10, 3),
)
"""Name, shape of an image, images, networks; all of width 32."""


NETWORKS = 40
"""Trials of architecture search in one turn."""


def main(command: Cost) -> None:
    """Print both tables."""
    from distill.device import choose

    device = choose(command.device)
    print_steps(command, device)
    print_trials(command, device)


def print_steps(command: Cost, device: "torch.device") -> None:
    """A row a case: milliseconds a step in each loop, and their ratio."""
    from distill.device import limit_threads

    print(f"| {'a training step':<38} | bare loop ms | Avalanche ms | ratio |")
    print(f"| {'-' * 38} | -----------: | -----------: | ----: |")
    for name, shape, images, networks in CASES:
        limit_threads(device, shape)
        bare, avalanche = loops(shape, images, networks, steps=command.steps, device=device)
        bare(), avalanche()  # warm up
        turns = [(bare(), avalanche()) for _ in range(command.turns)]
        ratio = statistics.median(b / a for a, b in turns)
        a, b = (1000 * statistics.median(t) / command.steps for t in zip(*turns, strict=True))
        print(f"| {name:<38} | {a:12.2f} | {b:12.2f} | {ratio:5.2f} |", flush=True)


def print_trials(command: Cost, device: "torch.device") -> None:
    """Milliseconds a trial takes alone and through NNI, and the difference."""
    from distill.device import limit_threads

    limit_threads(device, (1, 8, 8))
    name = f"{NETWORKS} networks, digits' size, 2 steps"
    alone, through = trials(device)
    alone(), through()  # warm up
    turns = [(alone(), through()) for _ in range(command.turns)]
    over = statistics.median(1000 * (b - a) / NETWORKS for a, b in turns)
    a, b = (1000 * statistics.median(t) / NETWORKS for t in zip(*turns, strict=True))
    print(f"\n| {'a trial':<38} |     alone ms |  with NNI ms | overhead ms |")
    print(f"| {'-' * 38} | -----------: | -----------: | ----------: |")
    print(f"| {name:<38} | {a:12.2f} | {b:12.2f} | {over:11.2f} |")


def loops(
    shape: tuple[int, int, int],
    images: int,
    networks: int,
    *,
    steps: int,
    device: "torch.device",
) -> tuple[Callable[[], float], Callable[[], float]]:
    """The seconds that `steps` full mini-batches take in a bare loop, and through Avalanche."""
    import torch

    from distill import train
    from distill.images import Data, ImageSet, Normalisation
    from distill.progress import Progress
    from distill.synthetic import SyntheticSet
    from downstream import continual
    from downstream.protocol import Protocol

    recipe = train.Recipe(epochs=steps)
    network = "convnet-d3-w32-instance-relu-avg"
    protocol = Protocol(1, 1, "retrain", networks, network, recipe, seed=0)
    pixels = torch.randint(0, 256, (images, *shape), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10).repeat(images // 10)
    real = ImageSet(
        "noise",
        pixels.to(torch.uint8),
        labels,
        tuple("0123456789"),
        Normalisation.fixed(shape[0]),
    )
    memory = SyntheticSet(real.images.float() / 255, labels, real.classes, {})
    (experience,) = continual.class_stream(Data(real, real), list(range(10)), [10])

    def bare() -> float:
        stack = continual.fresh_networks(real, protocol, 0, 0, device)
        x = real.normalisation(memory.images).to(device)
        began = time.perf_counter()
        train.fit(list(stack.networks), x, labels.to(device), recipe=recipe, seed=0)
        return time.perf_counter() - began

    def avalanche() -> float:
        buffer = continual.DistilledBuffer(real, lambda _: memory, max_size=images)
        plugin = continual.Retrain(buffer, protocol, 0, Progress())
        strategy = continual.strategy_with(plugin, device)
        began = time.perf_counter()
        strategy.train(experience, eval_streams=[])
        return time.perf_counter() - began

    return bare, avalanche


def trials(device: "torch.device") -> tuple[Callable[[], float], Callable[[], float]]:
    """The seconds that the same trials take alone, and through NNI with each one in a ledger."""
    import tempfile
    from pathlib import Path

    from distill import datasets
    from distill.networks import build
    from distill.seeding import generator
    from distill.train import Recipe
    from downstream import nas, proxy, space, trial  # noqa: F401  (NNI is loaded before the clock)
    from downstream.ledger import Ledger
    from downstream.search import Engine, Search, Trials

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
    job = trial.job(dataclasses.replace(settings, steps=2), data, None)
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


if __name__ == "__main__":
    with one_line():
        main(cli(Cost, sys.argv[1:], prog="python -m benchmarks.cost"))
