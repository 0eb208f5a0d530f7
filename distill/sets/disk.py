"""What a run will write, so that a disk that lacks the space is told of before the work."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from distill.checkpoints import KIND as STATE
from distill.images import ImageSet
from distill.objectives.bank import Bank
from distill.plan import KIND, Plan, pieces_of, states_of
from distill.runtime.files import require_space
from distill.runtime.store import Store
from distill.sets.beforehand import SetSource, Wanted, joined

A_FILE = 2**16
"""Bytes of a small file with what it says of itself, at most."""
RECORDS = 2**24
"""Bytes that records, figures, ledgers and other results of one command take at most."""


def bytes_needed(plan: Plan, real: ImageSet, *, sets: int = 1) -> int:
    """Bytes that so many sets of the classes in `real` take on the disk, at most.

    Images are float32. A set lies there class by class, and once more as a whole where it is saved;
    of one that is being learned (of all, where more steps can go on from fewer) the images, their
    momentum and their sum are kept as well, and a file is written beside the one that it takes the
    place of.
    """
    one = len(real.present) * (plan.ipc * math.prod(real.shape) * 4 + A_FILE)
    states = 3 * (sets if plan.config.extendable else 1) if plan.config.stepwise else 0
    return one * (2 * sets + states + 1) + RECORDS


def require(folder: Path, wanted: Iterable[Wanted], source: SetSource) -> None:
    """Check that there is room in `folder` for the sets that are wanted.

    What `source.sets` holds of these very sets counts as there: their pieces, checkpoints and the
    networks that were trained for them.

    Raises:
        Mistake: there is not; it says how much is needed.
    """
    jobs, store, pieces = joined(wanted), Store(source.sets), set[Path]()
    for plan, labels in jobs:
        places = pieces_of(plan, source.real.only(labels), source.compute)
        pieces |= {store.path(place.name, KIND, place.facts) for place in places}
        if plan.config.stepwise:
            states = states_of(plan, places)
            pieces |= {store.path(place.name, STATE, place.facts) for place in states}
    plans = {plan for plan, _ in jobs}
    banks = [bank for plan, labels in jobs for bank in _banks(plan, labels, source)]
    for bank in banks:
        pieces |= {store.path(*bank.place(number)) for number in range(bank.count)}
    there = sum(path.stat().st_size for path in pieces if path.is_file())
    needed = bytes_needed(jobs[0][0], source.real, sets=len(plans))
    needed += sum(bank.nbytes + A_FILE * bank.count for bank in banks)
    require_space(
        folder,
        max(0, needed - there),
        what=f"{len(plans)} set{'s' * (len(plans) > 1)} of {len(source.real.present)} classes",
    )


def _banks(plan: Plan, labels: Sequence[int], source: SetSource) -> list[Bank]:
    """The networks that are trained for a set of these classes, if any are."""
    config = plan.config
    if not (config.stepwise and config.trained):
        return []
    real = source.real.only(labels)
    return [Bank.of(config, real, seed=plan.seed, compute=source.compute)]
