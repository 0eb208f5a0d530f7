"""A training in stretches, kept while it goes on and found again when it is broken off or done.

A stretch is a training of its own, with a new optimiser and with draws of its own, so that it
depends on nothing but the weights at its beginning. So a training that goes on from the stretch
after which it was kept comes to the same last bit, and a longer one begins with a shorter one.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from distill import checkpoints as keeping
from distill.checkpoints import Checkpoints
from distill.images import ImageSet
from distill.runtime import locks
from distill.runtime.compute import FLOAT32, Compute
from distill.runtime.progress import Progress
from distill.runtime.store import Store, Tensors
from distill.runtime.watch import Watch


class TrainingPlace(NamedTuple):
    """Of a training in a store: its name for people, its kind, and all that it depends on."""

    name: str
    kind: str
    facts: dict[str, Any]


class KeptTraining(NamedTuple):
    """A training after so many stretches, and what it took to get there."""

    tensors: Tensors
    done: int = 0
    seconds: float = 0.0
    core_seconds: float = 0.0


Stretch = Callable[[Tensors, int], Tensors]
"""From the tensors after so many stretches ({} after none), and that number, to one stretch on."""
Check = Callable[[Tensors, int], None]
"""Raises a ValueError or KeyError if tensors are not those after so many stretches."""


def facts_of(real: ImageSet, compute: Compute) -> dict[str, Any]:
    """What every training on the images in `real` depends on: images, precision and the like."""
    own: dict[str, Any] = {} if compute.precision == FLOAT32 else {"precision": compute.precision}
    own |= {"compile": compute.compile} if compute.compile != "auto" else {}
    own |= {"deterministic": True} if compute.deterministic else {}
    return own | {
        "dataset": real.about.identity(),
        "classes": len(real.classes),
        "digests": real.digests(),
        "normalisation": real.normalisation.describe(),
    }


def run(
    stretch: Stretch,
    wanted: int,
    *,
    place: TrainingPlace,
    check: Check,
    checkpoints: Checkpoints,
    progress: Progress,
    unit: int = 1,
) -> Tensors:
    """The tensors after `wanted` stretches, or after more where those are kept.

    Two runs that want them at once share the work. What they took counts as spent by either, and
    what one waited for the other does not.

    Args:
        checkpoints: in whose store it is kept; without one all is done anew.
        progress: is told of the stretches found, as so many steps of `unit` each; `stretch` tells
            it of the others.

    Raises:
        Mistake: what `stretch` raises, or the folder cannot be written to.
    """
    if checkpoints.store is None:
        return _on(stretch, wanted, KeptTraining({}), lambda kept: None)
    store, waiting = checkpoints.store, Watch()
    with locks.held(
        store.path(*place), lambda: progress.say("waiting for another run of the same training")
    ):
        waited, _ = waiting.read()
        found = store.get(*place, of=functools.partial(_checked, check)) or KeptTraining({})
        checkpoints.count(found.seconds - waited, found.core_seconds)  # to wait is no work
        progress.advance(unit * min(found.done, wanted))
        return _on(stretch, wanted, found, functools.partial(_keep, store, place))


def _on(
    stretch: Stretch, wanted: int, kept: KeptTraining, keep: Callable[[KeptTraining], None]
) -> Tensors:
    """Go on from where it was kept; kept again once a minute, at the end and at Ctrl-C."""
    watch, last, now = Watch(), time.monotonic(), kept
    try:
        for done in range(kept.done, wanted):
            tensors = stretch(now.tensors, done)
            seconds, core_seconds = watch.read()
            spent = kept.seconds + seconds, kept.core_seconds + core_seconds
            now = KeptTraining(tensors, done + 1, *spent)
            if now.done == wanted or time.monotonic() - last >= keeping.EVERY:
                keep(now)
                last = time.monotonic()
    except KeyboardInterrupt:
        if now.done > kept.done:
            keep(now)
        raise
    return now.tensors


def _keep(store: Store, place: TrainingPlace, kept: KeptTraining) -> None:
    about = {name: getattr(kept, name) for name in KeptTraining._fields[1:]}
    store.put(*place, kept.tensors, about)


def _checked(check: Check, tensors: Tensors, about: dict[str, Any]) -> KeptTraining:
    """A piece of the store.

    Raises:
        ValueError: it is no such training.
    """
    try:
        kept = KeptTraining(
            tensors, about["done"], float(about["seconds"]), float(about["core_seconds"])
        )
        if type(kept.done) is not int or kept.done < 1:
            raise ValueError(f"it stands after {kept.done!r} stretches")
        if not all(math.isfinite(spent) and spent >= 0 for spent in kept[2:]):
            raise ValueError("it took no known time")
        check(tensors, kept.done)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks {error}") from error
    return kept
