"""Take a set that others published: python -m distill import FILE --dataset NAME --out SET."""

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from distill import choices
from distill.runtime import ranks
from distill.runtime.flags import Among, Within, cli
from distill.runtime.mistake import Mistake, short

if TYPE_CHECKING:
    from torch import Tensor

    from distill.images import ImageSet
    from distill.interchange.formats import FileContents
    from distill.interchange.pixels import Taken
    from distill.synthetic import SyntheticSet

PROG = "python -m distill import"
METHOD = "imported"
"""Of a set that others made: what it says of how it was made."""
VERSION = 1
Pixels = Annotated[
    str | None,
    tyro.conf.arg(
        help="What the file's pixels are: raw (0..1 or 0..255), normalised (by mean and "
        "deviation), zca (whitened); measured against real images if not given."
    ),
    Among(("raw", "normalised", "zca")),
]


@dataclasses.dataclass(frozen=True)
class Import:
    """Take a set of images that others published: .pt, .npz, .npy or safetensors.

    Nothing in a file is executed. What the pixels are is measured against real images, and said.
    """

    file: tyro.conf.Positional[Path]
    """The images, and maybe their labels: {'data': [[images, labels], ...]}, [images, labels], one
    array, or arrays called images and labels."""
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    labels: str | None = None
    """The labels, where they lie in another FILE; or sorted: as many images of each class, class by
    class."""
    set: Annotated[int, Within(0, 10_000)] = 0
    """Which set of a file that holds several, from 0."""
    pixels: Pixels = None
    mean: str | None = None
    """That the images were normalised by: one number, or one a channel with commas between; the
    dataset's if not given."""
    std: str | None = None
    """As --mean, the deviation."""
    formation: Annotated[int, Within(1, 1024)] = 1
    """2: four smaller images lie in the place of one, as in IDC's files."""
    data_root: Path = Path("data")
    """Folder of the real images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for a dataset of your own pictures."""
    out: Path = Path("runs/imported.safetensors")
    """The FILE.safetensors to write; FILE.safetensors.png beside it shows the images. One that
    holds another set is never replaced."""


def main(args: list[str]) -> None:
    """Take the set that `args` name, check it, and save it as one of the suite's own."""
    command = cli(Import, args, prog=PROG)
    small, why = taken(command)
    save(small, command.out)
    picture = command.out.with_suffix(command.out.suffix + ".png")
    small.grid(picture)
    print(f"taken as {why}")
    print(f"{len(small)} images: {command.out}; to look at: {picture}")


def taken(command: Import) -> tuple["SyntheticSet", str]:
    """The set, and what its pixels were taken for, in words with numbers.

    Raises:
        Mistake: for every way in which the file cannot be a set of the dataset.
    """
    from distill import datasets, formation
    from distill.interchange import formats, pixels, sound
    from distill.runtime.files import require_file, require_writable

    require_file(command.out, (choices.ENDING,), what="a set")
    about, path = datasets.about(command.dataset, size=command.image_size), command.file
    formation.require(command.formation, about.shape)
    own, channels = about.normalisation, about.shape[0]
    normalisation = pixels.standardised(own, command.mean, command.std, channels=channels)
    contents = formats.read(path, number=command.set)
    asked = command.pixels or contents.pixels
    if asked in ("raw", formats.UNITS) and (command.mean, command.std) != (None, None):
        raise Mistake("--mean and --std are of normalised pixels; leave them out with raw ones")
    images = sound.images(contents.images, about.shape, path=path, name=about.name)
    require_writable(command.out.parent)
    data = datasets.load(
        command.dataset, root=command.data_root, size=command.image_size, judged=False
    )
    labels = _labels(command, contents, len(images), data.train.classes)
    found = pixels.told(
        images,
        data,
        labels,
        pixels=asked,
        normalisation=normalisation,
        path=path,
        say=ranks.progress().say,
    )
    several = f"set {command.set} of {contents.sets}; " if contents.sets > 1 else ""
    said = "you say, " if command.pixels else "the file says, " if contents.pixels else ""
    return _set(command, found, data.train, labels), f"{several}{said}{found.why}"


def _labels(
    command: Import, contents: "FileContents", count: int, classes: tuple[str, ...]
) -> "Tensor":
    """int64 [count]: from the file, from another, or class by class.

    Raises:
        Mistake: there are none that fit, or the file is of other classes.
    """
    from distill.interchange import formats, sound
    from distill.sets.stored import differing

    if contents.classes not in (None, classes):
        raise Mistake(f"{command.file} {differing(contents.classes, classes)}")
    if command.labels == sound.SORTED:
        return sound.in_order(count, classes)
    found, path = contents.labels, command.file
    if command.labels is not None:
        path = Path(command.labels)
        found = formats.read_labels(path)
    return sound.labels(found, contents.images, count, classes, path=path)


def _set(command: Import, found: "Taken", real: "ImageSet", labels: "Tensor") -> "SyntheticSet":
    """The set, sorted by class, with how it came here."""
    from distill.synthetic import Made, SyntheticSet

    files = [command.file, *([Path(command.labels)] if command.labels else [])]
    made = Made(
        method=METHOD,
        version=VERSION,
        dataset=real.about.identity(),
        digests=real.only(labels.unique().tolist()).digests(),
        ipc=int(labels.bincount().max()),
        seed=0,
        config={
            "files": {path.name: _digest(path) for path in files if path.is_file()},
            "set": command.set,
            "pixels": found.way.words,
        },
        normalisation=found.way.normalisation.describe(),
        versions={name: version(name) for name in ("torch", "torchvision")},
        seconds=0.0,
    )
    order = labels.argsort(stable=True)
    images = found.images[order]
    return SyntheticSet(images, labels[order], real.classes, made, command.formation)


def _digest(path: Path) -> str:
    from distill.runtime import identity, reading

    return identity.digest(reading.whole(path))


def save(small: "SyntheticSet", path: Path) -> None:
    """Write a set, unless the file holds it already.

    Raises:
        Mistake: it holds another one, or something else.
    """
    from distill.sets import finished

    held = finished.read(path, ranks.progress().say)
    if held is None:
        small.save(path)
        return
    there = held.small
    if (there.digest(), there.made.config) != (small.digest(), small.made.config):
        raise Mistake(
            f"--out {path} holds another set, {short(there)}; choose another --out, or delete it"
        )
