"""A file of many equal arrays of bytes, sorted by label, so that a label's are a slice of it.

First come all arrays, one after the other, then a JSON header, then one line with the header's
length and digest. The header has the digest of every slice, so that a file that was cut off or
changed is refused: its header when it is opened, a slice before it is used.
"""

import functools
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy
import torch
from torch import Tensor

from distill.runtime.files import replaced
from distill.runtime.mistake import Mistake

FORMAT = 1
END = rb"slices (\d{12}) ([0-9a-f]{64})\n"
"""The last line: how many bytes of header stand before it, and their sha256."""
END_BYTES = len(b"slices ") + 12 + 1 + 64 + 1
AT_ONCE = 2**22
"""Bytes read at a time where a slice is checked."""


def write(
    path: Path,
    slices: Iterable[tuple[int, Tensor]],
    *,
    shape: Sequence[int],
    facts: Mapping[str, Any],
) -> None:
    """Write a file slice by slice, whole or not at all; one slice is in memory at a time.

    Args:
        slices: labels, ascending, each with its arrays: uint8 [n, *shape]. Zeros alone take no
            space on a disk that can do that.
        facts: of whatever the arrays are, as JSON knows them.

    Raises:
        Mistake: the folder cannot be written to, or the disk is full.
    """
    with replaced(path) as file:
        held = [_written(file, label, arrays, shape) for label, arrays in slices]
        labels = [label for label, *_ in held]
        assert labels == sorted({*labels}), "labels must come in ascending order, each once"
        file.truncate()
        known = {"format": FORMAT, "shape": list(shape), "held": held, "facts": dict(facts)}
        header = json.dumps(known).encode()
        sha256 = hashlib.sha256(header).hexdigest()
        file.write(header + f"slices {len(header):012} {sha256}\n".encode())


def _written(
    file: BinaryIO, label: int, arrays: Tensor, shape: Sequence[int]
) -> tuple[int, int, str]:
    """What the header says of a slice: its label, how many arrays, and their digest."""
    assert arrays.dtype == torch.uint8 and tuple(arrays.shape[1:]) == tuple(shape)
    content, whole = arrays.contiguous().numpy().reshape(-1), (len(arrays), *shape)
    if not content.any():
        file.seek(content.size, os.SEEK_CUR)
        return label, len(arrays), _sha256_of_zeros(whole)
    file.write(content)
    return label, len(arrays), _sha256(whole, [content])


@functools.cache
def _sha256_of_zeros(shape: tuple[int, ...]) -> str:
    return _sha256(shape, [bytes(math.prod(shape))])


def _sha256(shape: Sequence[int], blocks: Iterable[Any]) -> str:
    """Of an array, as `images.digest` has it."""
    sha256 = hashlib.sha256(str(tuple(shape)).encode())
    for block in blocks:
        sha256.update(block)
    return sha256.hexdigest()


class Slices:
    """A file that `write` wrote, opened.

    Attributes:
        sha256: of the header. shape: of one array. facts: as they were written.
        rows: of each label. digests: of all the arrays of each.
    """

    def __init__(self, path: Path) -> None:
        """Read and check the header.

        Raises:
            Mistake: there is no such file, or it is damaged.
        """
        self.path, self.known = path, dict[range, str]()
        try:
            self.file = open(path, "rb")  # noqa: SIM115  (closed when nobody holds it)
            self._take(self._header())
        except FileNotFoundError:
            raise Mistake(f"{path} is not there; make it, or give where it lies") from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise Mistake(f"{path} is no whole file of images: {error}; make it again") from error

    def _header(self) -> dict[str, Any]:
        """Raises a ValueError where the file is damaged."""
        size = os.fstat(self.file.fileno()).st_size
        end = re.fullmatch(END, self._bytes(max(0, size - END_BYTES), END_BYTES))
        if end is None:
            raise ValueError("it was cut off, or is of another kind")
        length, self.sha256 = int(end[1]), end[2].decode()
        self.content = size - END_BYTES - length
        header = self._bytes(self.content, length) if self.content >= 0 else b""
        if hashlib.sha256(header).hexdigest() != self.sha256:
            raise ValueError("its header was changed")
        return json.loads(header)

    def _take(self, header: dict[str, Any]) -> None:
        """Raises a ValueError, a KeyError or a TypeError where it is not what `write` writes."""
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']}, and {FORMAT} is read here")
        labels, counts, digests = zip(*header["held"], strict=True) if header["held"] else ((),) * 3
        self.shape = tuple(header["shape"])
        if not all(type(n) is int and n >= 0 for n in (*labels, *counts, *self.shape)):
            raise ValueError("its header has numbers that cannot be")
        if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests):
            raise ValueError("its header has digests that cannot be")
        ends = list(itertools.accumulate(counts, initial=0))
        if list(labels) != sorted({*labels}) or ends[-1] * math.prod(self.shape) != self.content:
            raise ValueError("it holds something else than its header says")
        self.facts = dict(header["facts"])
        rows = (range(*pair) for pair in itertools.pairwise(ends))
        self.rows = dict(zip(labels, rows, strict=True))
        self.digests = dict(zip(labels, digests, strict=True))

    def _bytes(self, first: int, count: int) -> bytes:
        """So many bytes from `first` on, or those that there are."""
        return os.pread(self.file.fileno(), count, first)

    def digest(self, rows: range) -> str:
        """sha256 of the arrays in these rows, read anew; memory does not grow by them.

        Raises:
            OSError: they cannot be read.
        """
        first, end = (row * math.prod(self.shape) for row in (rows.start, rows.stop))
        places = range(first, end, AT_ONCE)
        blocks = (self._bytes(place, min(AT_ONCE, end - place)) for place in places)
        return _sha256((len(rows), *self.shape), blocks)

    def check(self, label: int, what: str) -> None:
        """Read a slice, once, and compare its digest with the header's; `what` it is, for people.

        Raises:
            Mistake: it was changed, or cannot be read.
        """
        rows = self.rows[label]
        if rows in self.known:
            return
        try:
            self.known[rows] = self.digest(rows)
        except OSError as error:
            raise Mistake(f"{self.path}: {what} cannot be read: {error.strerror}") from error
        if self.known[rows] != self.digests[label]:
            del self.known[rows]
            raise Mistake(f"{self.path}: {what} is not what was written; make the file again")

    def view(self, rows: range) -> Tensor:
        """uint8 [n, *shape]: these rows, mapped while this is held; what is written to it is lost.

        A file that is made shorter while it is mapped ends the process (SIGBUS).
        """
        shape = (len(rows), *self.shape)
        if math.prod(shape) == 0:
            return torch.empty(shape, dtype=torch.uint8)
        first = rows.start * math.prod(self.shape)
        return torch.from_numpy(numpy.memmap(self.file, numpy.uint8, "c", first, shape))
