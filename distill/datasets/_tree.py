"""Trees of pictures, `train/<class>/*`, in a folder or in a zip that is read and never unpacked.

Names of files are told from the root of the tree, with slashes: `train/cat/1.png`. A zip may hold
the tree within one folder; what is in it has the name of that folder left out.
"""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from distill.datasets import _archive, _layout
from distill.runtime import reading
from distill.runtime.mistake import Mistake

MOST = 2**28
"""Bytes of a picture's file."""
LARGEST = 2**45
"""Bytes of a zip."""


class File(NamedTuple):
    """A picture's file: what changes with its content is its size and `stamp`.

    That is the time when it was written, in nanoseconds, or in a zip its checksum.
    """

    name: str
    size: int
    stamp: int


def opened(path: Path) -> "Folder | Zip":
    """The tree at `path`, a folder or a zip.

    Raises:
        Mistake: it is a file, and no zip that can be read.
    """
    return Zip(path) if path.is_file() else Folder(path)


def found(root: Path, names: Sequence[str]) -> "Folder | Zip | None":
    """The tree in a folder of one of these names in `root`, in `root`, or in a zip; None if none.

    Args:
        root: a folder, or a zip itself.

    Raises:
        Mistake: as `opened`.
    """
    if root.is_file():
        return Zip(root)
    for place in (*(root / name for name in names), root):
        if (place / "train").is_dir():
            return Folder(place)
    zips = (root / f"{name}.zip" for name in names)
    return next((Zip(path) for path in zips if path.is_file()), None)


class Folder:
    """A tree on the disk.

    Attributes:
        path: of its root. beside: the folder in which what is made of it is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = self.beside = path

    def where(self, name: str) -> str:
        """A file or folder, for people."""
        return str(self.path / name)

    def is_folder(self, name: str) -> bool:
        """Whether it holds such a folder."""
        return (self.path / name).is_dir()

    def is_file(self, name: str) -> bool:
        """Whether it holds such a file."""
        return (self.path / name).is_file()

    def is_flat(self, name: str) -> bool:
        """Whether a folder holds files and no folders, but for hidden ones."""
        return not any(entry.is_dir() for entry in self._entries(name))

    def folders(self, name: str) -> list[str]:
        """The class folders in a folder, in the order of their names; loose files are passed over.

        Raises:
            Mistake: there are none, or something in it cannot be read.
        """
        entries = [(entry, _status(entry)) for entry in self._entries(name)]
        classes = [entry.name for entry, status in entries if _is(stat.S_ISDIR, status)]
        if not classes:
            raise _layout.no_classes(self.where(name))
        for entry, status in entries:
            known = _is(stat.S_ISDIR, status) or _is(stat.S_ISREG, status)
            if not known or not entry.name.isprintable():
                raise Mistake(
                    f"{entry.path!r} is no class folder that can be read: a link to nothing, or a "
                    "name that is no text; mend or remove it"
                )
        return classes

    def files(self, name: str) -> list[File]:
        """The pictures in a class folder, in the order of their names.

        Raises:
            Mistake: there are none, or something in it is no file.
        """
        files = []
        for entry in self._entries(name):
            status = _status(entry)
            if not _is(stat.S_ISREG, status):
                raise _layout.no_picture(entry.path)
            files.append(File(f"{name}/{entry.name}", status.st_size, status.st_mtime_ns))
        if not files:
            raise _layout.no_files(self.where(name))
        return files

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            OSError: it is larger than a picture, or cannot be read.
        """
        return reading.whole(self.path / name, most=MOST)

    def _entries(self, name: str) -> list[os.DirEntry]:
        """What a folder holds, but for hidden files."""
        folder = self.path / name
        try:
            with os.scandir(folder) as entries:
                shown = [e for e in entries if not _archive.hidden(PurePosixPath(e.name))]
        except OSError as error:
            reading.require_lasting(folder, error)
            raise self._not_laid_out(name, error) from error
        return sorted(shown, key=lambda entry: entry.name)

    def _not_laid_out(self, name: str, error: OSError) -> Mistake:
        """Why a folder cannot be read: mostly, since the tree is laid out otherwise."""
        if not os.path.lexists(self.path):
            return _layout.no_root(self.path)
        if name not in _layout.HALVES or os.path.lexists(self.path / name):
            return Mistake(
                f"cannot read folder {self.path / name} ({error.strerror}); --data-root takes a "
                f"folder with {_layout.LAYOUT}"
            )
        folders = [e.name for e in self._entries("") if _is(stat.S_ISDIR, _status(e))]
        root = f"{self.path}/"
        return _layout.no_half(self.path, name, folders, root=root, holds=self.is_folder)


class Zip:
    """A tree in a zip.

    Attributes:
        path: of the zip. beside: the folder in which what is made of it is kept.
    """

    def __init__(self, path: Path) -> None:
        """Read the names of all that it holds.

        Raises:
            Mistake: it is no zip, cannot be read just now, or holds what is no tree of plain files.
        """
        self.path, self.beside = path, path.parent
        self._held: dict[str, dict[str, zipfile.ZipInfo | None]] = {"": {}}
        try:
            reading.require_plain(path, most=LARGEST)
            self._zip = zipfile.ZipFile(path)
            for info in self._zip.infolist():
                self._take(info)
        except Exception as error:  # zipfile raises of many kinds, whatever is damaged
            reading.require_lasting(path, error)
            known = isinstance(error, OSError) or type(error) is ValueError  # `_take`'s
            said = getattr(error, "strerror", None) or error
            reason = said if known else "it is no zip, or not a whole one"
            raise Mistake(
                f"{path} is no zip of pictures that can be read: {reason}; give a folder or a zip "
                "of one, whole"
            ) from error
        self._top = self._root()

    def _take(self, info: zipfile.ZipInfo) -> None:
        """Raises a ValueError where it is neither a plain file nor a folder."""
        name = _archive.inner(info.orig_filename)
        if _archive.hidden(name) or not name.parts:
            return
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"{name} is a link or a device")
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is packed otherwise than by deflate")
        for folder in (*reversed(name.parents[:-1]), *([name] if info.is_dir() else [])):
            beside = self._held[_text(folder.parent)]
            if beside.setdefault(folder.name, None) is not None:
                raise ValueError(f"{folder} is both a file and a folder")
            self._held.setdefault(str(folder), {})
        if not info.is_dir():
            beside = self._held[_text(name.parent)]
            if name.name in beside:
                raise ValueError(f"it holds {name} twice")
            beside[name.name] = info

    def _root(self) -> str:
        """`name/` where the tree lies in the one folder of that name."""
        folders = [name for name in self._held[""] if name in self._held]
        alone = len(folders) == 1 and folders[0] != "train"
        return f"{folders[0]}/" if alone else ""

    def where(self, name: str) -> str:
        """A file or folder, for people."""
        return f"{self.path}/{self._top}{name}"

    def is_folder(self, name: str) -> bool:
        """Whether it holds such a folder."""
        return self._top + name in self._held

    def is_file(self, name: str) -> bool:
        """Whether it holds such a file."""
        folder, _, own = (self._top + name).rpartition("/")
        return self._held.get(folder, {}).get(own) is not None

    def is_flat(self, name: str) -> bool:
        """Whether a folder holds files and no folders."""
        return all(info is not None for _, info in self._entries(name))

    def folders(self, name: str) -> list[str]:
        """As of a `Folder`."""
        classes = [own for own, info in self._entries(name) if info is None]
        if not classes:
            raise _layout.no_classes(self.where(name))
        return classes

    def files(self, name: str) -> list[File]:
        """As of a `Folder`."""
        files = []
        for own, info in self._entries(name):
            if info is None:
                raise _layout.no_picture(self.where(f"{name}/{own}"))
            files.append(File(f"{name}/{own}", info.file_size, info.CRC))
        if not files:
            raise _layout.no_files(self.where(name))
        return files

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            Exception: of many kinds, as zipfile has them; it is larger than a picture, damaged, or
                cannot be read.
        """
        folder, _, own = (self._top + name).rpartition("/")
        info = self._held[folder][own]
        if info.file_size > MOST:
            raise ValueError(f"it holds more than {MOST} bytes")
        with self._zip.open(info) as file:
            return file.read(info.file_size)  # no more is unpacked than it says it holds

    def _entries(self, name: str) -> Iterator[tuple[str, zipfile.ZipInfo | None]]:
        """What a folder holds, in the order of the names; None for a folder."""
        held = self._held.get(self._top + name)
        if held is None:
            top = self._held[self._top.rstrip("/")]
            folders = sorted(own for own, info in top.items() if info is None)
            root = self.where("")
            raise _layout.no_half(self.path, name, folders, root=root, holds=self.is_folder)
        return iter(sorted(held.items(), key=lambda entry: entry[0]))


def _text(folder: PurePosixPath) -> str:
    """The name of a folder in a zip; "" for the zip itself."""
    return "" if not folder.parts else str(folder)


def _status(entry: os.DirEntry) -> os.stat_result | None:
    """Of what an entry leads to; None where it leads to nothing.

    Raises:
        Mistake: it cannot be read just now.
    """
    try:
        return entry.stat()
    except OSError as error:
        reading.require_lasting(Path(entry.path), error)
        return None


def _is(kind: Callable[[int], bool], status: os.stat_result | None) -> bool:
    return status is not None and kind(status.st_mode)
