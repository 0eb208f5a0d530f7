"""Accuracy of networks trained on a small set alone: the field's first table.

python -m benchmarks.classification --method datadam --dataset cifar10 --ipc 1
"""

import dataclasses
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.mistake import Mistake, one_line
from distill.overrides import configure, parse

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchmarks.record import Record, Stopwatch
    from distill.images import Data
    from distill.networks import Spec
    from distill.progress import Progress
    from distill.synthetic import SyntheticSet
    from distill.train import Recipe


@dataclasses.dataclass(frozen=True)
class Classification:
    """Make a set for each seed, train fresh networks on it, report their test accuracy.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.classification
    --method datadam --help` lists them.
    """

    method: str = "datadam"
    """How the set is made: one of the files in distill/methods."""
    dataset: str = "digits"
    """Which images: digits (embedded), cifar10, cifar100, or folder (your own)."""
    ipc: int = 1
    """Images per class."""
    seeds: int = 3
    """How many sets, from seeds SEED, SEED+1, ..."""
    networks: int = 5
    """How many networks are trained on each set."""
    network: str = "convnet-d3-w128-instance-relu-avg"
    """The network that is trained."""
    epochs: int = 1000
    """Of the training."""
    preset: str = "laptop"
    """Of the method: laptop (minutes on two cores) or paper (the published configuration)."""
    zca: bool = False
    """Distil and train on ZCA-whitened images, as the published CIFAR results do."""
    seed: int = 0
    """The first seed."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for --dataset folder."""
    out: Path = Path("runs")
    """Where the record and the sets go."""


PROG = "python -m benchmarks.classification"


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and print the result."""
    command, flags = parse(Classification, args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks.record import provenance

    record = run(ready, provenance("benchmarks.classification", args, ready.device))
    path = record.write(command.out / "records")
    found = record.metrics
    print(
        f"{command.method}, {command.dataset}, {command.ipc} images a class: "
        f"{found['accuracy']:.1f} ± {found['accuracy_std']:.1f} % "
        f"({command.seeds} sets x {command.networks} networks); record: {path}"
    )


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked."""

    command: Classification
    config: Any
    variant: dict[str, Any]
    data: "Data"
    spec: "Spec"
    device: "torch.device"


def prepare(command: Classification, flags: list[str]) -> Ready:
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks import inputs
    from distill.images import whitened
    from distill.networks import parse as parse_network

    config, variant = configure(
        command.method, command.dataset, command.ipc, command.preset, flags, prog=PROG
    )
    if min(command.seeds, command.networks, command.epochs) < 1:
        raise Mistake("--seeds, --networks and --epochs take 1 or more")
    spec = parse_network(command.network)
    data, device = inputs.load(command)
    data = whitened(data) if command.zca else data
    return Ready(command, config, variant, data, spec, device)


def run(ready: Ready, provenance: dict[str, Any]) -> "Record":
    """Make the sets, train on them and gather the record."""
    from benchmarks.record import Record, Stopwatch, peak_memory
    from distill.train import Recipe

    command, data = ready.command, ready.data
    recipe, watch = Recipe(epochs=command.epochs), Stopwatch()
    accuracies, made = _seeds(ready, recipe, watch)
    flat = [accuracy for row in accuracies for accuracy in row]
    return Record(
        kind="classification",
        protocol={
            "dataset": data.train.name,
            "digest": data.train.digest(),
            "network": str(ready.spec),
            "recipe": dataclasses.asdict(recipe),
            "zca": command.zca,
            "seeds": command.seeds,
            "networks": command.networks,
        },
        cell={
            "method": command.method,
            "ipc": command.ipc,
            "preset": command.preset,
            "variant": ready.variant,
            "config": dataclasses.asdict(ready.config),
            "seed": command.seed,
        },
        metrics={
            "accuracy": round(statistics.fmean(flat), 2),
            "accuracy_std": round(statistics.pstdev(flat), 2),
            "accuracies": accuracies,
        },
        cost={
            "seconds": watch.seconds,
            **peak_memory(ready.device),
            "stored_images": len(made),
            "stored_bytes": made.stored_bytes,
        },
        provenance=provenance,
    )


def _seeds(
    ready: Ready, recipe: "Recipe", watch: "Stopwatch"
) -> tuple[list[list[float]], "SyntheticSet"]:
    """The accuracies of each seed's networks, and the last seed's set."""
    from distill import cache
    from distill.progress import Progress

    command, data = ready.command, ready.data
    test = data.test.normalisation(data.test.images).to(ready.device)
    progress = Progress(sys.stderr)
    accuracies = []
    for seed in range(command.seed, command.seed + command.seeds):
        made = cache.distil(
            command.out / "sets",
            command.method,
            data.train,
            command.ipc,
            config=ready.config,
            seed=seed,
            device=ready.device,
            progress=progress,
        )
        watch.lap("distil")
        accuracies.append(_accuracies(ready, made, test, recipe, seed, progress))
        watch.lap("train")
        progress.say(f"seed {seed}: {statistics.fmean(accuracies[-1]):.2f} %")
    return accuracies, made


def _accuracies(
    ready: Ready,
    made: "SyntheticSet",
    test: "Tensor",
    recipe: "Recipe",
    seed: int,
    progress: "Progress",
) -> list[float]:
    """In percent, of fresh networks trained on the set; `test` [N, C, H, W] is normalised."""
    from distill import train
    from distill.networks import build_many
    from distill.seeding import generator

    real = ready.data.train
    streams = [generator(seed, "evaluation network", k) for k in range(ready.command.networks)]
    networks = [
        network.to(ready.device)
        for network in build_many(
            ready.spec, real.shape, classes=len(real.classes), generators=streams
        )
    ]
    images, labels = real.normalisation(made.images), made.labels
    progress.start("training", recipe.epochs)
    train.fit(
        networks,
        images.to(ready.device),
        labels.to(ready.device),
        recipe=recipe,
        seed=seed,
        progress=progress,
    )
    found = 100 * train.accuracy(networks, test, ready.data.test.labels).double()
    return found.round(decimals=2).tolist()


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
