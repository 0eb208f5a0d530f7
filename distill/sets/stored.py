"""A set in a file, in the place of a method: `--buffer FILE`, `--proxy FILE`, `--method FILE`.

It is loaded as methods are, by a name that nobody gives (`distill.methods.UNLISTED`), and has what
a method has. Its images are those of the file whatever the seed. They are known by their digest,
never by where they lie.
"""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from distill import methods
from distill.images import About, ImageSet
from distill.runtime.compute import Compute
from distill.runtime.mistake import Mistake, short
from distill.runtime.progress import Progress
from distill.settings import Settings
from distill.synthetic import SyntheticSet

VERSION = 1
NAME = methods.SET
"""By which it is loaded, and which records have in the place of a method's name."""


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Which set.

    Attributes:
        file: where it lies, which is no part of what it is; what else there is is read from it.
        digest: of its images and labels.
        formation: as the file says.
    """

    file: str = dataclasses.field(default="", compare=False)
    digest: str = ""
    formation: int = 1

    def __post_init__(self) -> None:
        if self.file:
            small = SyntheticSet.load(Path(self.file))
            object.__setattr__(self, "digest", small.digest())
            object.__setattr__(self, "formation", small.formation)


def preset(about: About, ipc: int, name: str) -> Config:
    """No set yet: there is nothing that a preset could stand for."""
    return Config()


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> Tensor:
    """The file's images of every class in `real`.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Mistake: the file has changed meanwhile, or it is of other classes.
    """
    small = SyntheticSet.load(Path(config.file))
    if small.digest() != config.digest:
        raise Mistake(f"{config.file} has changed since this run began; start it again")
    if small.classes != real.classes:
        raise Mistake(f"{config.file} {differing(small.classes, real.classes)}")
    return torch.stack([small.images[small.labels == label] for label in real.present])


def require_fit(small: SyntheticSet, about: About, path: str) -> int:
    """The images a class of a set that is to stand for a dataset.

    Raises:
        Mistake: it is of another dataset, of other classes, lacks one, or has more of some.
    """
    name, other = about.name, short(small.made.dataset.get("name"))
    shape = tuple(small.images.shape[1:])
    # A user's own pictures are called after their folder, which is known when they are loaded.
    named = about.classes is None or small.made.dataset == about.identity()
    if not named or shape != about.shape:
        sizes = " x ".join(map(str, shape))
        raise Mistake(
            f"{path} holds images of {other}, {sizes}, and --dataset {name} is asked for; give the "
            "--dataset that it was made of"
        )
    if about.classes is not None and small.classes != about.classes:
        raise Mistake(f"{path} {differing(small.classes, about.classes)}")
    counts = small.labels.bincount(minlength=len(small.classes))
    if int(counts.min()) == 0:
        held = int((counts > 0).sum())
        raise Mistake(
            f"{path} holds {held} of the {len(counts)} classes of {name}; give a set of all classes"
        )
    if int(counts.min()) != int(counts.max()):
        raise Mistake(
            f"{path} holds {int(counts.min())} images of one class and {int(counts.max())} of "
            "another; give a set of as many of each"
        )
    return int(counts[0])


def differing(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """What to say of a set whose classes are not those of the dataset."""
    pairs = [pair for pair in zip(theirs, ours, strict=False) if pair[0] != pair[1]]
    how = f"'{short(pairs[0][0])}', not '{short(pairs[0][1])}'" if pairs else f"{len(theirs)} names"
    return (
        f"holds a set of other classes than the {len(ours)} of the dataset ({how}); give the "
        "--dataset that it was made of"
    )
