"""One trial of an architecture search: train a network on a proxy, measure its test accuracy."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill import datasets
from distill.drawing import all_seen
from distill.images import Data
from distill.networks import Network, initialise
from distill.runtime import identity
from distill.runtime.compute import FLOAT32, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import derive, generator
from distill.synthetic import SyntheticSet
from distill.training import train
from distill.training.recipes import Recipe
from downstream.nas import own
from downstream.nas.source import SpaceFile, seeded

VERSION = 1
"""Raised when a mended bug changes what the same trial gives: ledgers and ground truth expire."""

MARKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""The parts of the training after which the accuracy is looked at too."""
MARK_IMAGES = 1000
"""At most so many test images do those looks use, evenly over the classes; the end uses all."""


@dataclasses.dataclass(frozen=True)
class TrialSettings:
    """All that the trials of one run share, in plain values that another machine can be sent.

    Attributes:
        dataset, image_size: as the commands take them.
        about: the dataset's identity (`About.identity`).
        data_digest: of the real training and test images together.
        normalisation: what a network sees them through.
        set_digest: of the proxy's images; None for the whole dataset.
        recipe: of the training.
        steps: optimiser steps, where they are not the recipe's epochs.
        looks: whether the accuracy is measured on the way too.
        seed: of the networks and the mini-batches.
        data_root, set_path, device, threads: where things are; results depend on them in their last
            bits alone, if at all.
        precision: of convolutions and matrix products. deterministic: as `Compute` has it.
        space: the file of a user's own space; None for ConvNets, whose names say all.
    """

    dataset: str
    image_size: int | None
    about: dict[str, Any]
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
    threads: int | None
    precision: str = FLOAT32
    deterministic: bool = False
    space: SpaceFile | None = None

    @property
    def compute(self) -> Compute:
        """Where and how to compute; each network would need the compiler for itself."""
        return Compute(
            torch.device(self.device),
            self.threads,
            self.precision,
            compile="never",
            deterministic=self.deterministic,
        )

    @property
    def purpose(self) -> str:
        """Of the random draws: a trial on a proxy shares none with the ground truth.

        Else a proxy would begin with the weights that the whole dataset began with, and rank
        networks by more than its images.
        """
        whole = self.set_digest is None and self.steps is None
        return "nas network" if whole else "nas proxy network"

    def identity(self) -> dict[str, Any]:
        """What a trial's result depends on, besides the network."""
        unusual = {} if self.precision == FLOAT32 else {"precision": self.precision}
        unusual |= {"deterministic": True} if self.deterministic else {}
        unusual |= {"space": [self.space.name, self.space.digest]} if self.space else {}
        return identity.plain(
            unusual
            | {
                "version": VERSION,
                "dataset": self.about,
                "data": self.data_digest,
                "normalisation": self.normalisation,
                "set": self.set_digest,
                "recipe": self.recipe,
                "steps": self.steps,
                "looks": self.looks,
                "seed": self.seed,
            }
        )

    def dumps(self) -> str:
        """As text, with a digest inside."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, allow_nan=False)
        return json.dumps({"settings": text, "digest": identity.digest(text.encode())})

    @classmethod
    def loads(cls, text: str | bytes) -> "TrialSettings":
        """From the text of `dumps`.

        Raises:
            Mistake: it is damaged.
        """
        try:
            whole = json.loads(text)
            if identity.digest(whole["settings"].encode()) != whole["digest"]:
                raise ValueError("they do not have the digest they name")
            values = json.loads(whole["settings"])
            fields = values["recipe"]
            recipe = Recipe(**{**fields, "operations": tuple(fields["operations"])})
            space = SpaceFile(**values["space"]) if values["space"] else None
            return cls(**{**values, "recipe": recipe, "space": space})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Mistake(
                f"a trial's settings are damaged ({error}); run the same command again"
            ) from error


@dataclasses.dataclass(frozen=True)
class Job:
    """Settings with their images in memory, on the device.

    Attributes:
        images, test: float [N, C, H, W], normalised; `images` as networks are shown them.
        labels, test_labels: int64 [N].
    """

    settings: TrialSettings
    images: Tensor
    labels: Tensor
    test: Tensor
    test_labels: Tensor

    @property
    def steps(self) -> int:
        """Optimiser steps of one trial."""
        recipe = self.settings.recipe
        return self.settings.steps or recipe.epochs * recipe.batches(len(self.images))


def job(settings: TrialSettings, data: Data, proxy: SyntheticSet | None) -> Job:
    """The images of a proxy, or of the whole training half, where the settings want them."""
    device, normalisation = settings.compute.device, data.train.normalisation
    if proxy is None:
        images, labels = all_seen(data.train, device), data.train.labels
    else:
        images, labels = proxy.decoded()
        images = normalisation(images).to(device)
    test = all_seen(data.test, device)
    return Job(settings, images, labels.to(device), test, data.test.labels)


def load(settings: TrialSettings) -> Job:
    """The images that `settings` name, read anew (in another process, on another machine).

    Raises:
        Mistake: they are not there, or not the same.
    """
    settings.compute.enter()
    root = Path(settings.data_root)
    data = datasets.load(settings.dataset, root=root, size=settings.image_size)
    proxy = SyntheticSet.load(Path(settings.set_path)) if settings.set_path else None
    same_look = data.train.normalisation.describe() == settings.normalisation
    if data.digest() != settings.data_digest or not same_look:
        raise Mistake(
            f"the images of {settings.dataset} in {root} are not those of the run; restore them, "
            "or start the run anew"
        )
    if proxy is not None and proxy.digest() != settings.set_digest:
        raise Mistake(
            f"the images in {settings.set_path} are not those of the run; delete that file and "
            "start the run anew"
        )
    return job(settings, data, proxy)


def evaluate(
    network: Network, job: Job, watch: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Initialise and train `network`, and say how well it does on the test images.

    Neither the network's present weights nor any earlier trial matters: the seed of its weights
    comes from the run's seed and from the network's name. `watch` is told the steps done.

    Args:
        network: of any family; its name is `str(network.spec)`.

    Returns:
        status: `trained`; `diverged` if the loss is no longer finite; `failed` if training broke
            off, so that it may be tried again.
        accuracy: on all test images, in percent; None unless trained.
        looks: [steps, accuracy in percent] on the way, and at the end.
        reason: why not trained, or None. seconds: wall clock.
    """
    began = time.monotonic()
    outcome: dict[str, Any] = {"status": "trained", "accuracy": None, "looks": [], "reason": None}
    try:
        with seeded(derive(job.settings.seed, job.settings.purpose, "dropout", str(network.spec))):
            _train(network, job, outcome, watch)
    except Exception as error:  # one trial must not end the search; its row says what happened
        outcome |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}
    return outcome | {"seconds": round(time.monotonic() - began, 3)}


def draw(network: Network, generator: torch.Generator) -> None:
    """Draw all weights of a network from `generator`: a user's own as its constructor does."""
    if isinstance(network, own.Network):
        network.draw(generator)
    else:
        initialise(network, generator=generator)


def _batches(settings: TrialSettings) -> list[torch.Generator]:
    """Where the mini-batches of a trial come from: all networks see the same ones."""
    whole = settings.purpose == "nas network"
    return train.streams(settings.seed, 1, *([] if whole else [settings.purpose]))


def _train(
    network: Network, job: Job, outcome: dict[str, Any], watch: Callable[[int], None]
) -> None:
    settings = job.settings
    settings.compute.enter()
    draw(network, generator(settings.seed, settings.purpose, str(network.spec)))
    network.to(job.images.device)
    marks = {round(job.steps * part) for part in MARKS if settings.looks} - {0}
    steps = train.training(
        [network],
        job.images,
        job.labels,
        recipe=settings.recipe,
        generators=_batches(settings),
        steps=settings.steps,
        compute=settings.compute,
    )
    for done, loss in steps:
        watch(done)
        if done in marks or done == job.steps:
            if not loss.isfinite():
                outcome |= {"status": "diverged", "reason": f"loss {loss.item()} at step {done}"}
                return
            some = slice(None, None, 1 if done == job.steps else -(-len(job.test) // MARK_IMAGES))
            judged = job.test[some], job.test_labels[some]
            try:
                right = train.accuracy([network], *judged, compute=settings.compute)
            except train.Diverged as error:
                outcome |= {"status": "diverged", "reason": f"at step {done}: {error}"}
                return
            outcome["looks"].append([done, round(100 * right.item(), 4)])
    outcome["accuracy"] = outcome["looks"][-1][1]
