"""One trial of an architecture search: train a network on a proxy, measure its test accuracy."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill import datasets, train
from distill.device import keep_memory
from distill.images import Data, digest
from distill.mistake import Mistake
from distill.networks import ConvNet, initialise
from distill.seeding import generator
from distill.synthetic import SyntheticSet
from distill.train import Recipe

MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""The parts of the training after which the accuracy is looked at too."""
MARK_IMAGES = 1000
"""How many test images those looks use (the dataset's first); the final accuracy uses all."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that the trials of one run share, in plain values that another machine can be sent.

    Attributes:
        dataset, image_size: as the commands take them.
        data_digest: of the real training and test images together.
        normalisation: what a network sees them through.
        set_digest: of the proxy's images; None for the whole dataset.
        recipe: of the training.
        steps: optimiser steps, where they are not the recipe's epochs.
        looks: whether the accuracy is measured on the way too.
        seed: of the networks and the mini-batches.
        data_root, set_path, device, threads: where things are; no result depends on them.
    """

    dataset: str
    image_size: int | None
    data_digest: str
    normalisation: dict[str, Any]
    set_digest: str | None
    recipe: Recipe
    steps: int | None
    looks: bool
    seed: int
    data_root: str
    set_path: str | None
    device: str
    threads: int

    def key(self) -> dict[str, Any]:
        """What a result depends on, besides the network."""
        elsewhere = ("data_root", "set_path", "device", "threads")
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in elsewhere}

    def dumps(self) -> str:
        """As text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def loads(cls, text: str) -> "Settings":
        """From the text of `dumps`."""
        values = json.loads(text)
        return cls(**{**values, "recipe": Recipe(**values["recipe"])})


@dataclasses.dataclass(frozen=True)
class Job:
    """Settings with their images in memory, on the device.

    Attributes:
        images, test: float [N, C, H, W], normalised. labels, test_labels: int64 [N].
    """

    settings: Settings
    images: Tensor
    labels: Tensor
    test: Tensor
    test_labels: Tensor

    @property
    def steps(self) -> int:
        """Optimiser steps of one trial."""
        recipe = self.settings.recipe
        return self.settings.steps or recipe.epochs * recipe.batches(len(self.images))


def data_digest(data: Data) -> str:
    """Of a dataset's training and test images."""
    return digest(data.train.images, data.train.labels, data.test.images, data.test.labels)[:12]


def job(settings: Settings, data: Data, made: SyntheticSet | None) -> Job:
    """The images of a proxy, or of the whole training half, where the settings want them."""
    device, normalisation = torch.device(settings.device), data.train.normalisation
    small = data.train if made is None else made
    return Job(
        settings,
        normalisation(small.images).to(device),
        small.labels.to(device),
        normalisation(data.test.images).to(device),
        data.test.labels,
    )


def load(settings: Settings) -> Job:
    """The images that `settings` name, read anew (in another process, on another machine).

    Raises:
        Mistake: they are not there, or not the same.
    """
    keep_memory()
    torch.set_num_threads(settings.threads)
    root = Path(settings.data_root)
    data = datasets.load(settings.dataset, root=root, size=settings.image_size)
    made = SyntheticSet.load(Path(settings.set_path)) if settings.set_path else None
    if data_digest(data) != settings.data_digest:
        raise Mistake(f"the images of {settings.dataset} in {root} are not those of the run")
    if made is not None and digest(made.images, made.labels)[:12] != settings.set_digest:
        raise Mistake(f"the images in {settings.set_path} are not those of the run")
    return job(settings, data, made)


def evaluate(
    network: ConvNet, job: Job, watch: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Initialise and train `network`, and say how well it does on the test images.

    Neither the network's present weights nor any earlier trial matters: the seed of its weights
    comes from the run's seed and from what the network is made of. `watch` is told the steps done.

    Returns:
        status: `trained`; `diverged` if the loss is no longer finite; `failed` if training broke
            off, so that it may be tried again.
        accuracy: on all test images, in percent; None unless trained.
        looks: [steps, accuracy in percent] on the way, and at the end.
        reason: why not trained, or None. seconds: wall clock.
    """
    began = time.monotonic()
    found: dict[str, Any] = {"status": "trained", "accuracy": None, "looks": [], "reason": None}
    try:
        _train(network, job, found, watch)
    except Exception as error:  # one trial must not end the search; its row says what happened
        found |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}
    return found | {"seconds": round(time.monotonic() - began, 3)}


def _train(network: ConvNet, job: Job, found: dict[str, Any], watch: Callable[[int], None]) -> None:
    settings = job.settings
    initialise(network, generator=generator(settings.seed, "nas network", str(network.spec)))
    network.to(job.images.device)
    marks = {round(job.steps * part) for part in MARKS if settings.looks} - {0}
    steps = train.training(
        [network],
        job.images,
        job.labels,
        recipe=settings.recipe,
        generators=train.streams(settings.seed, 1),
        steps=settings.steps,
    )
    for done, loss in steps:
        watch(done)
        if done in marks or done == job.steps:
            if not loss.isfinite():
                found |= {"status": "diverged", "reason": f"loss {loss.item()} at step {done}"}
                return
            images = len(job.test) if done == job.steps else MARK_IMAGES
            right = train.accuracy([network], job.test[:images], job.test_labels[:images])
            found["looks"].append([done, round(100 * right.item(), 4)])
    found["accuracy"] = found["looks"][-1][1]
