"""What is said where a tree of pictures is laid out otherwise than `_tree` reads it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from distill.runtime.mistake import Mistake

LAYOUT = "train/<class>/ and test/<class>/ in it"
HALVES = ("train", "test", "val")
LIKE = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
    "val": ("val", "valid", "validation"),
}
"""What other programs call a half, in whatever case."""
SHOWN = 3
"""Folders that a line names."""


def no_root(path: Path) -> Mistake:
    """There is nothing at `path`."""
    return Mistake(f"there is no {path}; --data-root takes a folder or zip with {LAYOUT}")


def no_half(
    path: Path, half: str, folders: Sequence[str], *, root: str, holds: Callable[[str], bool]
) -> Mistake:
    """There is no folder `half`: what is there instead, and what to do.

    Args:
        path: of the tree, a folder or a zip. folders: in its root.
        root: how a file in it is told begins with it.
        holds: whether it holds such a folder.
    """
    if not folders or half not in HALVES:
        kind = "zip" if path.is_file() else "folder"
        return Mistake(f"{path} holds no folder {half}; --data-root takes a {kind} with {LAYOUT}")
    named = [name if name.isprintable() else ascii(name) for name in folders]
    more = ", ..." if len(named) > SHOWN else ""
    there = f"{path} holds {', '.join(named[:SHOWN])}{more} but no folder {half}"
    like = [name for name in folders if name.lower() in LIKE[half]]
    inner = [name for name in folders if holds(f"{name}/train")]
    own = path if path.name else path.absolute()
    if like:
        advice = f"rename {like[0]} to {half}"
    elif half != "train":
        advice = (
            f"put pictures to judge on into {root}{half}/<class>/, or give --judge validation "
            "where the command has it"
        )
    elif inner and path.is_file():
        advice = f"make a zip of {inner[0]} alone"
    elif inner:
        advice = f"give --data-root {path / inner[0]}"
    elif own.name in HALVES:
        advice = f"give --data-root {own.parent}, the folder around it"
    else:
        advice = f"move them into {root}train (and into {root}test where anything is judged)"
    return Mistake(f"{there}; {advice}")


def no_classes(folder: str) -> Mistake:
    """A half holds no folders."""
    return Mistake(f"{folder} has no class folders; put the pictures into {folder}/<class>/")


def no_picture(path: str) -> Mistake:
    """There is something else among the pictures of a class."""
    return Mistake(
        f"{path} is no picture but a folder, a link to nothing or a device; pictures lie in the "
        "folder of their class: move or remove it"
    )


def no_files(folder: str) -> Mistake:
    """A class folder is empty."""
    return Mistake(f"class folder {folder} holds no images; add some or remove the folder")
