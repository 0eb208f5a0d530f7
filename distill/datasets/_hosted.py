"""Official files that stand alone: where they lie, or else from their host; digests are checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.datasets import _archive
from distill.runtime.mistake import Mistake


def place(
    root: Path,
    name: str,
    *,
    within: Sequence[str],
    urls: Sequence[str],
    advice: str,
    sha256: str = "",
    md5: str = "",
    most: int = _archive.MOST,
) -> Path:
    """Where the official file `name` lies: in the first folder `within` the root that has it.

    If none has it, it is downloaded into the last of them, where it arrives by being renamed.

    Args:
        root: a folder, or the file itself.
        urls: hosts of the file, the first first. advice: what to do where none can be reached.
        sha256, md5: its digest, one of the two. most: bytes that it has at most.

    Raises:
        Mistake: its digest is another, `root` is another file, or it is nowhere and no host can be
            reached or sends it.
    """
    facts = {"sha256": sha256, "md5": md5, "most": most}
    if root.is_file():
        return _given(root, name, facts)
    paths = [root / folder / name for folder in within]
    for path in paths:
        if path.exists():
            _archive.require(path, **facts)
            return path
    if not _fetched(urls, root / name, paths[-1], facts):
        raise Mistake(
            f"no {name} in {paths[-1].parent}, and its official host cannot be reached: {advice}"
        )
    return paths[-1]


def _given(file: Path, name: str, facts: Mapping[str, Any]) -> Path:
    """The official file itself, checked."""
    if file.name != name:
        raise Mistake(
            f"{file} is another file than {name}; give as --data-root the folder in which {name} "
            "lies"
        )
    _archive.require(file, mend=_archive.GIVEN, **facts)
    return file


def _fetched(urls: Sequence[str], near: Path, path: Path, facts: Mapping[str, Any]) -> bool:
    """Download the file to `path`; False where no host can be reached.

    Raises:
        Mistake: a host sends another file, and none the right one.
    """
    wrong = None
    with _archive.scratch(near) as scratch:
        for number, url in enumerate(urls):
            try:
                _archive.fetch(url, scratch / str(number), **facts)
            except OSError:
                continue  # the next host may be there
            except Mistake as mistake:
                wrong = wrong or mistake
                continue  # or send what this one does not
            _archive.settle(scratch / str(number), path)
            return True
    if wrong is not None:
        raise wrong
    return False
