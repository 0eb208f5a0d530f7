"""ImageNet and its subsets: trees whose class folders are named by WordNet ids, `n01440764`.

Class ids follow the order of the WordNet ids, as everywhere in the field.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distill.datasets import _archive, _decoded, _hosted, _tree
from distill.datasets._decoded import Half, Tree
from distill.datasets._tree import File
from distill.images import About, Data, Normalisation
from distill.runtime import reading
from distill.runtime.mistake import Mistake

NORMALISATION = Normalisation(
    (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "published statistics of ImageNet"
)
KIT = "ILSVRC2012_devkit_t12"
"""The folder of ImageNet's development kit, which holds the classes of the pictures in val."""
URL = "https://s3.amazonaws.com/fast-ai-imageclas/"
UNPACKED = 2**33
"""Bytes of all that is in an archive."""


def subset(
    root: Path, about: About, wnids: Sequence[str], *, archives: Mapping[str, str] | None = None
) -> Data:
    """Some classes of a tree: that of the subset itself, or ImageNet's, whose others are left out.

    Args:
        root: a folder, or a zip or official archive itself.
        wnids: of the classes of `about`; a class folder may have either name.
        archives: the md5 of each official archive `NAME.tgz`, which holds a folder NAME; the last
            is downloaded where there is nothing.

    Raises:
        Mistake: there is no such tree, a class is missing or there twice, or as `on_disk`.
    """
    archives = archives or {}
    if root.is_file() and root.suffix == ".tgz" and root.stem in archives:
        return named(_tree.Folder(_unpacked(root, root.stem, archives)), about, wnids)
    tree = _tree.found(root, (*archives, about.name, "imagenet"))
    tree = tree or (_tree.Folder(_brought(root, archives)) if archives else None)
    if tree is None:
        raise Mistake(
            f"no ImageNet in {root}: give as --data-root a folder or zip with train/<wnid>/* and "
            f"val/<wnid>/* in it, of which {about.name} takes {len(wnids)} classes"
        )
    return named(tree, about, wnids)


def named(tree: Tree, about: About, wnids: Sequence[str]) -> Data:
    """The classes of `about` in a tree with train and val (or test).

    Raises:
        Mistake: a class is missing or there twice, or as `on_disk`.
    """
    test = "val" if tree.is_folder("val") else "test"
    flat = test == "val" and tree.is_flat("val")
    return _decoded.on_disk(
        tree,
        about,
        [
            Half("train", _by_folder(tree, "train", about, wnids)),
            Half("test", (_by_kit if flat else _by_folder)(tree, test, about, wnids)),
        ],
    )


def _by_folder(
    tree: Tree, half: str, about: About, wnids: Sequence[str]
) -> Callable[[int], Sequence[File]]:
    """The files of each class, whose folder has the name of the class or its WordNet id."""
    ids = {name: label for names in (wnids, about.classes) for label, name in enumerate(names)}
    folders: dict[int, str] = {}
    for folder in tree.folders(half):
        label = ids.get(folder)
        if label in folders:
            raise Mistake(
                f"{tree.where(half)} holds class '{about.classes[label]}' twice, as {folder} and "
                f"as {folders[label]}; put all its pictures into one of them"
            )
        if label is not None:
            folders[label] = folder
    lacking = [wnid for label, wnid in enumerate(wnids) if label not in folders]
    if lacking:
        raise Mistake(
            f"{tree.where(half)} lacks class {lacking[0]} of the {len(wnids)} of {about.name}; put "
            f"its pictures into {tree.where(half)}/{lacking[0]}/"
        )
    return lambda label: tree.files(f"{half}/{folders[label]}")


def _by_kit(
    tree: Tree, half: str, about: About, wnids: Sequence[str]
) -> Callable[[int], Sequence[File]]:
    """The files of each class of ImageNet's val as it is packed: one folder, all classes."""
    try:
        truth = _truth(tree.beside / KIT / "data")
    except Exception as error:  # of many kinds, whatever is missing or damaged
        reading.require_lasting(tree.beside / KIT / "data", error)
        raise Mistake(
            f"{tree.where(half)} has no class folders; sort its pictures into {half}/<wnid>/, or "
            f"put the unpacked {KIT} into {tree.beside}, which says their classes"
        ) from error
    own = tree.files(half)
    if len(own) != len(truth):
        raise Mistake(
            f"{tree.where(half)} holds {len(own)} pictures, and {KIT} says the classes of "
            f"{len(truth)}; give all of them"
        )
    files: dict[str, list[File]] = {wnid: [] for wnid in wnids}
    for file, wnid in zip(own, truth, strict=True):
        files.get(wnid, []).append(file)
    lacking = [wnid for wnid in wnids if not files[wnid]]
    if lacking:
        raise Mistake(
            f"{tree.where(half)} holds no picture of class {lacking[0]}; give all classes"
        )
    return lambda label: files[wnids[label]]


def _truth(kit: Path) -> list[str]:
    """The WordNet id of each picture in val, in the order of their names."""
    import scipy.io  # takes time that most trees are spared

    known = scipy.io.loadmat(kit / "meta.mat", squeeze_me=True)["synsets"]
    wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in known}
    lines = (kit / "ILSVRC2012_validation_ground_truth.txt").read_text().split()
    return [wnids[int(line)] for line in lines]


def _brought(root: Path, archives: Mapping[str, str]) -> Path:
    """The folder of the official archive in `root`, or of the one that is downloaded, unpacked."""
    name = next((name for name in archives if (root / f"{name}.tgz").exists()), [*archives][-1])
    return _unpacked(root, name, archives)


def _unpacked(root: Path, name: str, archives: Mapping[str, str]) -> Path:
    """The folder `name` of the archive in `root`, or that is `root`, unpacked beside it."""
    archive = _hosted.place(
        root,
        f"{name}.tgz",
        within=["."],
        urls=[f"{URL}{name}.tgz"],
        advice="put it there, or a tree train/<wnid>/*, val/<wnid>/*",
        md5=archives[name],
        most=UNPACKED,
    )
    folder = archive.parent / name
    if (folder / "train").is_dir():
        return folder
    with _archive.scratch(folder) as scratch:
        try:
            _archive.unpack_tree(archive, scratch, most=UNPACKED)
            if not (scratch / name).is_dir():
                raise ValueError(f"it lacks the folder {name}")
        except ValueError as error:
            raise Mistake(f"{archive} is damaged ({error}); delete it and run again") from error
        _archive.settle(scratch / name, folder)
    if not (folder / "train").is_dir():
        raise Mistake(
            f"{folder} was there and has no train in it; delete that folder and run again"
        )
    return folder
