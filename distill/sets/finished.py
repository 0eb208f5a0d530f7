"""A file that holds a finished set: made once, and never in the place of another's."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from distill.images import ImageSet
from distill.plan import Plan, pieces_of
from distill.runtime import identity, origin, reading, store
from distill.runtime.compute import FLOAT32, Compute
from distill.runtime.files import set_aside
from distill.runtime.mistake import Mistake, short
from distill.synthetic import Made, SyntheticSet

BEGINNING = b'"facts":"{\\"classes\\":'
"""Stands within the first `HEAD` bytes of every set's file."""
HEAD = 512
SPENT = ("versions", "seconds", "core_seconds")
"""What says how a set was made and makes no other set of it."""


class SetFile(NamedTuple):
    """What the file of a set holds.

    Attributes:
        further: what its identity has besides what the set says of itself.
        code: which made it (`origin.Origin.label`).
    """

    small: SyntheticSet
    further: dict[str, Any]
    code: Any


class Asked(NamedTuple):
    """The set that a command is to make: its plan, and all that its images depend on."""

    plan: Plan
    facts: dict[str, Any]

    @classmethod
    def of(cls, plan: Plan, real: ImageSet, compute: Compute) -> "Asked":
        """Of all classes in `real`: what the store asks of its pieces, of all of them together."""
        pieces = [place.facts for place in pieces_of(plan, real, compute)]
        digests = {label: digest for facts in pieces for label, digest in facts["digests"].items()}
        return cls(plan, pieces[0] | {"digests": digests})

    @property
    def further(self) -> dict[str, Any]:
        """What a set does not say of itself."""
        known = [field.name for field in dataclasses.fields(Made)]
        return identity.plain({n: fact for n, fact in self.facts.items() if n not in known})


def read(path: Path, say: Callable[[str], None]) -> SetFile | None:
    """What the file of a set holds; None where there is none.

    One that was damaged is set aside under another name, and `say` is told.

    Raises:
        Mistake: it holds something else, or cannot be read just now.
    """
    try:
        tensors, facts = store.read(path)
    except FileNotFoundError:
        return None
    except Mistake:
        raise
    except ValueError as error:
        if not _began_as_a_set(path):
            raise _no_set(path, error) from error
        set_aside(path, error, say)
        return None
    try:
        small = SyntheticSet.of(tensors, facts)
        return SetFile(small, dict(facts.get("further", {})), facts.get("code"))
    except (ValueError, TypeError) as error:
        raise _no_set(path, error) from error


def taken(
    held: SetFile | None, asked: Asked, path: Path, say: Callable[[str], None]
) -> SyntheticSet | None:
    """The set in the file, if it is the one that is asked for; None if that is to be made.

    One that other code made which was not committed is made again, and `say` is told.

    Raises:
        Mistake: the file holds another set; the message says which, and where they differ.
    """
    if held is None:
        return None
    _require_same(held, asked, path)
    if not origin.usable(held.code):
        say(f"{path} was made by other code, which was not committed; it is made again")
        return None
    return held.small


def save(small: SyntheticSet, asked: Asked, path: Path, say: Callable[[str], None]) -> None:
    """Write a set that was made; another run may have written it meanwhile.

    Raises:
        Mistake: what another run has written is another set, or the folder cannot be written to.
    """
    held = read(path, say)
    if held is not None:
        _require_same(held, asked, path)
    own = {"further": asked.further, "code": origin.ours().label()}
    store.write(path, small.tensors(), small.facts() | own)


def _require_same(held: SetFile, asked: Asked, path: Path) -> None:
    made, config = held.small.made, asked.plan.config
    known = {name: fact for name, fact in dataclasses.asdict(made).items() if name not in SPENT}
    # A setting that came in after a set was made had its default then.
    lacking = [f for f in dataclasses.fields(config) if f.name not in known["config"]]
    usual = {f.name: f.default for f in lacking if f.default is not dataclasses.MISSING}
    difference = identity.first_difference(
        _named({"precision": FLOAT32} | asked.facts, dataclasses.asdict(config)),
        _named(known | held.further, usual | known["config"]),
    )
    if difference is not None:
        name = made.dataset.get("name")
        words = f"{made.method} of {name}, ipc {made.ipc}, seed {made.seed}"
        raise Mistake(
            f"--out {path} holds another set, {short(words)} ({short(difference, 100)}); choose "
            "another --out, or delete it"
        )


def _named(facts: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """What a set depends on, in words for people."""
    others = {name: fact for name, fact in facts.items() if name not in ("config", "digests")}
    return identity.plain({**others, "settings": settings, "images": facts["digests"]})


def _no_set(path: Path, error: Exception) -> Mistake:
    return Mistake(
        f"--out {path} is there and no set ({short(error, 100)}); choose another --out, or "
        "delete it"
    )


def _began_as_a_set(path: Path) -> bool:
    """Whether a file that is not whole was written as a set's."""
    try:
        reading.require_plain(path, most=store.MOST)
        with path.open("rb") as file:
            return BEGINNING in file.read(HEAD)
    except OSError:
        return False
