"""EuroSAT, RGB (Helber et al., 2019): 27,000 pieces of land seen by Sentinel-2, 64x64, 10 classes.

It has no official split. Its authors trained on 80 % of every class, drawn at random, and did not
say which; here too a fifth of every class is for testing, drawn once for all from a fixed seed:
21,600 training and 5,400 test images.
"""

from pathlib import Path

import torch

from distill.datasets import _class_folders, _decoded, _hosted, _tree
from distill.images import About, Data, Normalisation
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator

COUNTS = {
    "AnnualCrop": 3000,
    "Forest": 3000,
    "HerbaceousVegetation": 3000,
    "Highway": 2500,
    "Industrial": 2500,
    "Pasture": 2000,
    "PermanentCrop": 2500,
    "Residential": 3000,
    "River": 2500,
    "SeaLake": 3000,
}
"""Images of every class."""
ABOUT = About(
    "eurosat",
    Normalisation.fixed(3),
    shape=(3, 64, 64),
    classes=tuple(COUNTS),
    sizes=(21_600, 5_400),
)
FOLDER = "2750"
"""That of the class folders in the archive; torchvision keeps it in a folder eurosat."""
HOST = (
    "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
    "c877bcd43f099cd0196738f714544e355477f3fd/"
)
MD5 = "c8fa014336c82ac7804f0398fcb19387"
"""Of the archive, as torchvision knows it."""


def load(root: Path, about: About) -> Data:
    """From a tree that is split already, torchvision's files in `root`, or the download.

    The archive is read as it is, not unpacked; its pictures are decoded once, into mapped files
    beside it.

    Raises:
        Mistake: none of these is to be had, or it is damaged.
    """
    tree = _class_folders.read(root, about, about.classes)
    if tree is not None:
        return tree
    whole = _whole(root, about)
    parts = [_split(whole, about, label) for label in range(len(about.classes))]
    halves = [
        _decoded.Half("train", lambda label: parts[label][0]),
        _decoded.Half("test", lambda label: parts[label][1]),
    ]
    return _decoded.on_disk(whole, about, halves)


def _whole(root: Path, about: About) -> _decoded.Tree:
    """All class folders together."""
    for folder in (root / FOLDER, root / about.name / FOLDER):
        if folder.is_dir():
            return _tree.Folder(folder)
    archive = _hosted.place(
        root,
        "EuroSAT.zip",
        within=[".", about.name],
        urls=[f"{HOST}EuroSAT.zip"],
        advice=f"put it there, or a tree {about.name}/train/<class>/*, {about.name}/test/<class>/* "
        f"into {root}",
        md5=MD5,
    )
    return _tree.Zip(archive)


def _split(
    tree: _decoded.Tree, about: About, label: int
) -> tuple[list[_tree.File], list[_tree.File]]:
    """The training and the test images of a class, in the order of their names.

    Raises:
        Mistake: they are not all there.
    """
    name = about.classes[label]
    files = tree.files(name)
    if len(files) != COUNTS[name]:
        raise Mistake(
            f"{tree.where(name)} holds {len(files)} pictures, not {COUNTS[name]}: delete the "
            "folder and unpack EuroSAT.zip again, or take --dataset folder for a part of it"
        )
    order = torch.randperm(len(files), generator=generator(0, f"{about.name} test", label))
    test = set(order[: len(files) // 5].tolist())
    halves = ([], [])
    for place, file in enumerate(files):
        halves[place in test].append(file)
    return halves
