"""Where images stand in being learned, kept while they are: a run that is broken off goes on.

Every draw of a step is a function of the seed, the purpose, the step and the class, and a class's
images depend on no other class, so a class that goes on from a checkpoint becomes what it would
have become, bit for bit.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.runtime.store import Store, Tensors
from distill.runtime.watch import Watch

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


class PiecePlace(NamedTuple):
    """Of a finished piece or a checkpoint in a store: its name for people, what it depends on, and
    its classes."""

    name: str
    facts: dict[str, Any]
    labels: list[int]


@dataclasses.dataclass
class Checkpoints:
    """Of classes that are learned together from here on.

    Attributes:
        store, places: where they are kept; without a store nothing is.
        state: where they stand; None at the start.
        seconds, core_seconds: what it took to get there, for all of them together.
        begun: whether anything was written, by this run or an earlier one.
    """

    store: Store | None = None
    places: Sequence[PiecePlace] = ()
    state: State | None = None
    seconds: float = 0.0
    core_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.begun = self.state is not None
        self.start()

    def start(self) -> None:
        """Work begins now."""
        self.watch, self.last = Watch(), time.monotonic()

    def spent(self) -> tuple[float, float]:
        """Seconds and core seconds until now, of earlier runs too."""
        seconds, core_seconds = self.watch.read()
        return self.seconds + seconds, self.core_seconds + core_seconds

    def count(self, seconds: float, core_seconds: float) -> None:
        """Count what earlier runs spent on something that was found and is needed here.

        What stands in a state has it counted already.
        """
        if self.state is None:
            self.seconds += seconds
            self.core_seconds += core_seconds

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
        first, count = 0, len(state.images)
        seconds, core_seconds = self.spent()
        for place in self.places:
            own = slice(first, first + len(place.labels))
            first = own.stop
            tensors = {name: getattr(state, name)[own] for name in State._fields[1:]}
            share = len(place.labels) / count
            about = {
                "step": state.step,
                "seconds": seconds * share,
                "core_seconds": core_seconds * share,
            }
            self.store.put(place.name, KIND, place.facts, tensors, about)
        self.last, self.begun = time.monotonic(), True

    def drop(self) -> None:
        """Forget what was kept: the images are finished."""
        for place in self.places if self.store is not None else ():
            self.store.drop(place.name, KIND, place.facts)


NONE = Checkpoints()


class KeptCheckpoint(NamedTuple):
    """A checkpoint as it was read: the state, and what it took to get there."""

    state: State
    seconds: float
    core_seconds: float


def standing(store: Store, places: Sequence[PiecePlace], *, most: int) -> list[Checkpoints]:
    """The classes of `places`, those together that stand at the same step, `most` at most.

    A class that is further already keeps that checkpoint, and has others beside it.
    """
    groups: dict[int, list[tuple[PiecePlace, KeptCheckpoint | None]]] = {}
    for place in places:
        of = functools.partial(_kept, len(place.labels))
        kept = store.get(place.name, KIND, place.facts, of=of)
        if kept is not None and kept.state.step > most:
            place = place._replace(name=f"{place.name}-to{most}")
            kept = store.get(place.name, KIND, place.facts, of=of)
        groups.setdefault(kept.state.step if kept else 0, []).append((place, kept))
    checkpoints = []
    for step, group in groups.items():
        own, kept = [place for place, _ in group], [kept for _, kept in group]
        if not step:
            checkpoints.append(Checkpoints(store, own))
            continue
        state = _joined([known.state for known in kept])
        spent = (sum(known[n] for known in kept) for n in (1, 2))
        checkpoints.append(Checkpoints(store, own, state, *spent))
    return checkpoints


def _kept(classes: int, tensors: Tensors, facts: dict[str, Any]) -> KeptCheckpoint:
    """A piece of the store, of so many classes.

    Raises:
        ValueError: it is no state.
    """
    try:
        parts = [tensors[name] for name in State._fields[1:]]
        spent = [float(facts[name]) for name in KeptCheckpoint._fields[1:]]
        kept = KeptCheckpoint(State(facts["step"], *parts), *spent)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks {error}") from error
    if type(kept.state.step) is not int or kept.state.step < 1:
        raise ValueError(f"it stands at step {kept.state.step!r}")
    if not all(math.isfinite(seconds) and seconds >= 0 for seconds in spent):
        raise ValueError("it took no known time")
    shape = parts[0].shape
    for part in parts:
        if part.dtype != torch.float32 or part.shape != shape or part.ndim != 5:
            raise ValueError("its images have another form")
        if len(part) != classes or not part.isfinite().all():
            raise ValueError("its images are of other classes, or not finite")
    return kept


def _joined(states: Sequence[State]) -> State:
    """Of all their classes; they stand at the same step."""
    tensors = (torch.cat(parts) for parts in list(zip(*states, strict=True))[1:])
    return State(states[0].step, *tensors)
