"""Forgetting: the real images that a network in training forgets most often.

Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR
2019: an image is forgotten where it was classified right and then is not. They show that images
which are hardly ever forgotten can be left out of a training with little loss, so the others are
kept. As a baseline of distillation (DC, ICLR 2021; CIFAR-10: 13.5, 23.3, 23.3 % at 1, 10, 50 images
a class) it is below random choice: the few images that are forgotten most are odd ones. Those that
were never right come before all others, unless `Config.never_learned` says otherwise.

Differences: they look at an image when it is in a mini-batch, augmented, by the network of that
moment; here all images are looked at after each pass, as they are. They train for 200 passes, and
how DC does is not published.
"""

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from distill import presets
from distill.checkpoints import NONE, Checkpoints
from distill.drawing import Seen
from distill.images import About, ImageSet
from distill.networks import build, parse
from distill.runtime.compute import Compute
from distill.runtime.mistake import unknown
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive, generator
from distill.runtime.store import Tensors
from distill.settings import Settings, require
from distill.training import stretches
from distill.training.recipes import Recipe
from distill.training.stretches import TrainingPlace
from distill.training.train import fit, predictions

VERSION = 1
KIND = "forgetting"
"""Of a store's pieces: what was right after each pass, and the network after the last."""
PLACES = ("first", "last")
"""Where images that were never right come."""


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """How forgetting is counted.

    Attributes:
        network: the one that is trained.
        passes: over the images of all classes present.
        never_learned: images that were never right come `first`, as in the paper's algorithm, or
            `last`, with those that were never forgotten.
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    passes: int = 20
    never_learned: str = "first"

    couples_classes: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    compiles: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", str(parse(self.network)))  # one network, one name
        require(self, "passes", least=1, most=10_000)
        if self.never_learned not in PLACES:
            raise unknown("--method.never-learned", self.never_learned, PLACES)


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32, 20 passes. paper: width 128, the network of all published tables, 50."""
    width, passes = {"laptop": (32, 20), "paper": (128, 50)}[presets.require(name)]
    return Config(network=f"convnet-d{about.depth}-w{width}-instance-relu-avg", passes=passes)


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Choose the `ipc` images of every class present that are forgotten most often.

    Between equals a drawn order decides. The first images of a larger set are the smaller set.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Diverged: the training came to numbers that are not finite.
    """
    given = {"compute": compute, "progress": progress, "checkpoints": checkpoints}
    right = correctness(real, config=config, seed=seed, **given)
    counts = events(right, never_learned=config.never_learned)
    if config.never_learned == "first":
        _say_unlearned(~right.any(0), real, ipc, progress)
    chosen = []
    for label in real.present:
        own = counts[real.labels == label]
        order = torch.randperm(len(own), generator=generator(seed, "forgetting", label))
        ranked = order[own[order].argsort(descending=True, stable=True)]
        chosen.append(real.of_class(label)[ranked[:ipc]])
    return torch.stack(chosen).float() / 255


def _say_unlearned(never: Tensor, real: ImageSet, ipc: int, progress: Progress) -> None:
    """A line where a class's images were all drawn by lot from those that were never right."""
    counts = [int(never[real.labels == label].sum()) for label in real.present]
    full = [count for count in counts if count >= ipc]
    if full:
        progress.say(
            f"note: in {len(full)} of {len(counts)} classes the images are drawn by lot from those "
            f"that were never right, {min(full)} to {max(full)} a class; --method.never-learned "
            "last counts these as never forgotten"
        )


def events(right: Tensor, *, never_learned: str) -> Tensor:
    """int64 [N]: how often each image was forgotten.

    Args:
        right: bool [P, N], after each of P passes.
        never_learned: what never was right counts P times (`first`), more than anything can be
            forgotten, or not at all (`last`).
    """
    forgotten = (right[:-1] & ~right[1:]).sum(0)
    if never_learned == "last":
        return forgotten
    return torch.where(right.any(0), forgotten, len(right))


def correctness(
    real: ImageSet,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints,
) -> Tensor:
    """bool [passes, N]: which images a network in training gets right after each pass.

    Raises:
        Diverged: the training came to numbers that are not finite.
    """
    stream = generator(seed, "forgetting")
    given = {"classes": len(real.classes), "generator": stream}
    network = build(parse(config.network), real.shape, **given).to(compute.device)
    recipe = Recipe(epochs=1, batch=64, operations=real.about.operations)
    images, labels = Seen(real, device=compute.device), real.labels
    shapes = {name: value.shape for name, value in network.state_dict().items()}

    def one_pass(before: Tensors, done: int) -> Tensors:
        if done:
            network.load_state_dict({name: before[name] for name in shapes})
        fit(
            [network],
            images,
            labels.to(compute.device),
            recipe=recipe,
            seed=derive(seed, "forgetting", done),
            compute=compute,
        )
        right = (predictions([network], images, compute=compute)[0] == labels)[None]
        progress.advance(note=f"{100 * right.float().mean():.1f} % right")
        weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}
        return weights | {"right": torch.cat([*([before["right"]] if done else []), right])}

    def check(tensors: Tensors, done: int) -> None:
        if any(tensors[name].shape != shape for name, shape in shapes.items()):
            raise ValueError("its weights have another form")
        right = tensors["right"]
        if right.dtype != torch.bool or right.shape != (done, len(labels)):
            raise ValueError("it is of other passes or images")

    facts = {"version": VERSION, "network": config.network, "recipe": recipe, "seed": seed}
    facts |= stretches.facts_of(real, compute)
    place = TrainingPlace(f"{real.name}-{KIND}-right", KIND, facts)
    progress.start("passes over real images", config.passes)
    given = {"place": place, "check": check, "checkpoints": checkpoints, "progress": progress}
    return stretches.run(one_pass, config.passes, **given)["right"][: config.passes]
