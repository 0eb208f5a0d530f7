"""The commands on a page: those that its records came from, as anyone can type them."""

import shlex
from collections.abc import Sequence

from benchmarks.record import Record
from distill.runtime import registry


def made_with(records: Sequence[Record]) -> list[str]:
    """The commands that the records came from, without what only says where: `--out runs`.

    Where the images of a dataset of one's own lie is a part of what was asked. Where the machine
    chose the precision, which it does but for small images, the one that it chose is named.
    """
    return sorted({_anywhere(record) for record in records})


def _anywhere(record: Record) -> str:
    words = shlex.split(record.provenance.command)
    flags = [word.partition("=")[0].replace("_", "-") for word in words]  # `--data_root=x` too
    size = _given(words, flags, "--image-size")  # of pictures of one's own
    where = ("--out", "--workers") if size else ("--out", "--workers", "--data-root")
    places = [n for n, flag in enumerate(flags) if flag in where]
    dropped = {*places, *(n + 1 for n in places if "=" not in words[n])}
    kept = [word for n, word in enumerate(words) if n not in dropped]
    precision = _precision(record)
    if precision and "--precision" not in flags and not _small(record, size):
        kept += ["--precision", precision]
    return shlex.join(kept)


def _given(words: Sequence[str], flags: Sequence[str], name: str) -> str | None:
    """The value of a flag: `--name VALUE` or `--name=VALUE`; None where it is not given."""
    if name not in flags:
        return None
    place = flags.index(name)
    return words[place].partition("=")[2] or words[place + 1]


def _precision(record: Record) -> str | None:
    """What a record was made in; None where its kind has no such flag."""
    protocol = record.protocol
    if hasattr(protocol, "truth"):  # of a search, whose trials leave the usual one out
        return protocol.truth.get("precision", "float32")
    return getattr(protocol, "precision", None)


def _small(record: Record, size: str | None) -> bool:
    """Whether the images are so small that no machine chooses another precision.

    Args:
        size: of pictures of one's own.
    """
    from distill.runtime.compute import SMALL  # with torch, which not every page needs

    if size is not None:
        return int(size) <= SMALL
    name = record.protocol.dataset.name
    known = name in registry.names("distill.datasets")
    return known and registry.load("distill.datasets", name).ABOUT.small
