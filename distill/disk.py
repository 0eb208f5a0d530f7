"""What a run will write, so that a disk that lacks the space is told of before the work."""

import math
from pathlib import Path

from distill import learn
from distill.images import ImageSet
from distill.plan import Plan

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
    states = 3 * (sets if plan.extendable else 1) if isinstance(plan.config, learn.Config) else 0
    return one * (2 * sets + states + 1) + RECORDS


def require(folder: Path, plan: Plan, real: ImageSet, *, sets: int = 1) -> None:
    """Check that there is room in `folder` for so many sets; what it and its folders hold counts.

    Raises:
        Mistake: there is not; it says how much is needed.
    """
    from distill.runtime.files import require_space

    name = f"{real.name}-{plan.method}-ipc{plan.ipc}-*.safetensors"
    pieces = [*folder.glob(name), *folder.glob(f"*/{name}")]
    there = sum(path.stat().st_size for path in pieces if path.is_file())
    lacking = max(0, bytes_needed(plan, real, sets=sets) - there)
    require_space(
        folder, lacking, what=f"{sets} set{'s' * (sets > 1)} of {len(real.present)} classes"
    )
