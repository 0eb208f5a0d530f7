"""Accuracy of networks trained on a small set alone: the field's first table.

python -m benchmarks.classification --method datadam --dataset cifar10 --ipc 1
"""

import dataclasses
import sys
from pathlib import Path

from distill.mistake import one_line
from distill.overrides import configure, parse


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


def main(args: list[str]) -> None:
    """Run the benchmark that `args` describe and write its record."""
    command, flags = parse(Classification, args, prog="python -m benchmarks.classification")
    from distill import registry

    method = registry.load("methods", command.method)
    registry.require("datasets", command.dataset)
    from distill.presets import require

    preset = method.preset(command.dataset, command.ipc, require(command.preset))
    config = configure(preset, flags, prog="python -m benchmarks.classification")
    run(command, config, args)


def run(command: Classification, config: object, args: list[str]) -> None:
    """Make the sets, train on them, write the record and print the result."""
    import torch

    from benchmarks.record import Record, Stopwatch, peak_memory, provenance
    from distill import cache, datasets, train
    from distill.device import choose, limit_threads
    from distill.files import require_writable
    from distill.images import whitened
    from distill.networks import build
    from distill.networks import parse as parse_network
    from distill.progress import Progress
    from distill.seeding import generator

    spec, device = parse_network(command.network), choose(command.device)
    require_writable(command.out / "records")
    data = datasets.load(command.dataset, root=command.data_root, size=command.image_size)
    limit_threads(device, data.train.shape)
    if command.zca:
        data = whitened(data)
    test = data.test.normalisation(data.test.images).to(device)
    recipe = train.Recipe(epochs=command.epochs)
    progress, watch = Progress(sys.stderr), Stopwatch()
    accuracies = []
    for seed in range(command.seed, command.seed + command.seeds):
        made = cache.distil(
            command.out / "sets",
            command.method,
            data.train,
            command.ipc,
            config=config,
            seed=seed,
            device=device,
            progress=progress,
        )
        watch.lap("distil")
        networks = [
            build(
                spec,
                data.train.shape,
                classes=len(data.train.classes),
                generator=generator(seed, "evaluation network", k),
            ).to(device)
            for k in range(command.networks)
        ]
        progress.start("training", recipe.epochs)
        images = data.train.normalisation(made.images).to(device)
        train.fit(
            networks,
            images,
            made.labels.to(device),
            recipe=recipe,
            seed=seed,
            progress=progress,
        )
        accuracies.append((100 * train.accuracy(networks, test, data.test.labels)).tolist())
        watch.lap("train")
        progress.say(f"seed {seed}: {sum(accuracies[-1]) / len(accuracies[-1]):.2f} %")
    flat = torch.tensor(accuracies).flatten()
    record = Record(
        kind="classification",
        protocol={
            "dataset": command.dataset,
            "digest": data.train.digest(),
            "network": str(spec),
            "recipe": dataclasses.asdict(recipe),
            "zca": command.zca,
            "seeds": command.seeds,
            "networks": command.networks,
        },
        cell={
            "method": command.method,
            "ipc": command.ipc,
            "preset": command.preset,
            "config": dataclasses.asdict(config),
            "seed": command.seed,
        },
        metrics={
            "accuracy": round(flat.mean().item(), 2),
            "accuracy_std": round(flat.std(correction=0).item(), 2),
            "accuracies": [[round(a, 2) for a in row] for row in accuracies],
        },
        cost={
            "seconds": watch.seconds,
            **peak_memory(device),
            "stored_images": len(made),
            "stored_bytes": made.stored_bytes,
        },
        provenance=provenance("benchmarks.classification", args, device),
    )
    path = record.write(command.out / "records")
    print(
        f"{command.method}, {command.dataset}, {command.ipc} images a class: "
        f"{record.metrics['accuracy']:.1f} ± {record.metrics['accuracy_std']:.1f} % "
        f"({len(flat)} networks); record: {path}"
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
