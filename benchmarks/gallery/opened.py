"""Files of sets, and of the pieces of sets that a run keeps in its folder: a class each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from distill.runtime import identity, store
from distill.synthetic import SyntheticSet, merge

MAY_DIFFER = ("digests", "versions", "seconds", "core_seconds")
"""What pieces of one set may differ in."""


def opened(paths: Sequence[Path]) -> tuple[list[SyntheticSet], list[SyntheticSet]]:
    """The sets that are a file each, and those put together of pieces, each once.

    What else a run keeps beside its pieces (checkpoints, trained networks) is passed over.

    Raises:
        Mistake: a file is not there, damaged, or of no set.
    """
    whole: list[SyntheticSet] = []
    pieces: dict[str, dict[tuple[int, ...], SyntheticSet]] = {}
    for path in paths:
        try:
            tensors, held = store.read(path)
        except (FileNotFoundError, ValueError):
            tensors, held = {}, {}
        if "identity" not in held:
            whole.append(SyntheticSet.load(path))
        elif "made" in held["facts"]:
            piece = SyntheticSet.of(tensors, held["facts"])
            place = tuple(piece.labels.unique().tolist())
            pieces.setdefault(_of(piece), {})[place] = piece
    together = [merge([own[place] for place in sorted(own)]) for own in pieces.values()]
    return whole, [*{own.digest(): own for own in together}.values()]


def finished(pieces: Sequence[SyntheticSet]) -> tuple[list[SyntheticSet], int]:
    """Those with as many classes as any of them, and how many are left out: their run goes on."""
    most = max((len(own.labels.unique()) for own in pieces), default=0)
    done = [own for own in pieces if len(own.labels.unique()) == most]
    return done, len(pieces) - len(done)


def _of(piece: SyntheticSet) -> str:
    """Equal for the pieces of one set."""
    made = dataclasses.asdict(piece.made)
    facts = {name: value for name, value in made.items() if name not in MAY_DIFFER}
    return identity.key("pieces", facts | {"formation": piece.formation})
