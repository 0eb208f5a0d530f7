"""Where images stand in being learned, kept while they are: a run that is broken off goes on.

Every draw of a step is a function of the seed, the purpose, the step and the class, and a class's
images depend on no other class, so a class that goes on from a checkpoint becomes what it would
have become, bit for bit.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.runtime.store import Store, Tensors

KIND = "state"
"""Of a store's pieces."""
EVERY = 60.0
"""Seconds between two checkpoints. A run shorter than that keeps none."""


class State(NamedTuple):
    """Of some classes, after `step` steps.

    Attributes:
        images, momentum, total: float32 [G, ipc, C, H, W]; as the network sees them, of the
            optimiser, and the sum of the images that are averaged.
    """

    step: int
    images: Tensor
    momentum: Tensor
    total: Tensor


class Place(NamedTuple):
    """Of a checkpoint in a store: its name for people, what it depends on, and its classes."""

    name: str
    facts: dict[str, Any]
    labels: list[int]


@dataclasses.dataclass
class Checkpoints:
    """Of classes that are learned together from here on.

    Attributes:
        store, places: where they are kept; without a store nothing is.
        state: where they stand; None at the start.
        kept: whether anything was written.
    """

    store: Store | None = None
    places: Sequence[Place] = ()
    state: State | None = None
    kept: bool = False

    def __post_init__(self) -> None:
        self.last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to keep another."""
        return self.store is not None and time.monotonic() - self.last >= EVERY

    def keep(self, state: State) -> None:
        """Write down where the classes stand.

        Raises:
            Mistake: the folder cannot be written to.
        """
        assert self.store is not None
        first = 0
        for place in self.places:
            own = slice(first, first + len(place.labels))
            first = own.stop
            tensors = {name: getattr(state, name)[own] for name in State._fields[1:]}
            self.store.put(place.name, KIND, place.facts, tensors, {"step": state.step})
        self.last, self.kept = time.monotonic(), True

    def drop(self) -> None:
        """Forget what was kept: the images are finished."""
        for place in self.places if self.store is not None else ():
            self.store.drop(place.name, KIND, place.facts)


NONE = Checkpoints()


def standing(store: Store, places: Sequence[Place], *, most: int) -> list[Checkpoints]:
    """The classes of `places`, those together that stand at the same step, `most` at most.

    A class that is further already begins anew, and its checkpoint is left as it is.
    """
    groups: dict[int | None, list[tuple[Place, State | None]]] = {}
    for place in places:
        state = store.get(place.name, KIND, place.facts, of=_state)
        beyond = state is not None and state.step > most
        step = None if beyond else state.step if state else 0
        groups.setdefault(step, []).append((place, None if beyond else state))
    return [
        Checkpoints(
            store if step is not None else None,
            [place for place, _ in group],
            _joined([state for _, state in group]) if step else None,
        )
        for step, group in groups.items()
    ]


def _state(tensors: Tensors, facts: dict[str, Any]) -> State:
    """A piece of the store.

    Raises:
        ValueError: it is no state.
    """
    try:
        return State(int(facts["step"]), *(tensors[name] for name in State._fields[1:]))
    except KeyError as error:
        raise ValueError(f"it lacks {error}") from error


def _joined(states: Sequence[State]) -> State:
    """Of all their classes; they stand at the same step."""
    tensors = (torch.cat(parts) for parts in list(zip(*states, strict=True))[1:])
    return State(states[0].step, *tensors)
