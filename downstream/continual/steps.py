"""Where a class order stands, kept after each of its steps: a run that is broken off goes on there.

Every draw is a function of the seed, the order and the step. So all that a later step needs are the
networks and their momentum where they go on (`replay`), and the memory, which has its own store.
"""

from typing import Any, NamedTuple

from distill.runtime import identity
from distill.runtime.store import Store, Tensors
from distill.runtime.watch import Watch

KIND = "steps"
"""Of a store's pieces."""

Rows = list[list[list[float]]]
"""[step][step][network]: accuracies after each step on the classes of each so far."""


class Standing(NamedTuple):
    """After some steps.

    Attributes:
        rows: the accuracies. tensors: `Rehearsal.state`. seconds: that it took to get there.
    """

    rows: Rows
    tensors: Tensors
    seconds: float


class Steps:
    """Of one class order, in a store, or in none: then nothing is found or kept.

    Attributes:
        standing: where an earlier run left it, or None.
    """

    def __init__(self, store: Store | None, name: str, facts: identity.Facts) -> None:
        """`facts` are all that the accuracies depend on; `name` is for people."""
        self._store, self._place = store, (name, KIND, facts)
        self.standing = store and store.get(*self._place, of=_standing)
        self._watch = Watch()

    @property
    def done(self) -> int:
        """How many steps an earlier run did."""
        return len(self.standing.rows) if self.standing else 0

    @property
    def earlier(self) -> float:
        """The seconds that they took."""
        return self.standing.seconds if self.standing else 0.0

    def seconds(self) -> float:
        """From the first step until now, whatever run did them."""
        return self.earlier + self._watch.read()[0]

    def keep(self, rows: Rows, tensors: Tensors) -> None:
        """Write down where the order stands.

        Raises:
            Mistake: the folder cannot be written to.
        """
        if self._store is not None:
            about = {"rows": rows, "seconds": self.seconds()}
            self._store.put(*self._place, tensors, about)


def forget(store: Store, name: str, facts: identity.Facts) -> None:
    """Of a class order whose result is kept: its steps are needed no more."""
    store.drop(name, KIND, facts)


def _standing(tensors: Tensors, about: dict[str, Any]) -> Standing:
    """A piece of the store.

    Raises:
        ValueError: it is nothing of the kind.
    """
    try:
        rows = about["rows"]
        if [len(row) for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("it lacks accuracies")
        return Standing(rows, tensors, float(about["seconds"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks {error}") from error
