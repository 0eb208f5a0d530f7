"""The sets that a command will need, made first: their classes on as many processes as pay.

Each class is made of its own images alone, and kept in the store; whoever asks `plan.distill` for
it afterwards finds it there.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from distill.images import ImageSet
from distill.learn import Config
from distill.matching import Config as Matching
from distill.plan import KIND, Plan, distill, pieces_of
from distill.runtime.compute import SMALL, Compute
from distill.runtime.progress import Progress
from distill.runtime.store import Store
from distill.runtime.workers import Workers
from distill.synthetic import SyntheticSet

Wanted = tuple[Plan, Sequence[int]]
"""A plan and classes of which it will be asked at once."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What sets are made of, how, and the folder in which they are kept."""

    real: ImageSet
    compute: Compute
    sets: Path

    def distill(
        self, plan: Plan, real: ImageSet | None = None, progress: Progress | None = None
    ) -> SyntheticSet:
        """The set of these real images (of all, if None), from the folder where it is there."""
        progress = progress or Progress()
        return distill(
            plan,
            self.real if real is None else real,
            compute=self.compute,
            store=Store(self.sets, progress.say),
            progress=progress,
        )


def make(wanted: Iterable[Wanted], source: Source, workers: Workers) -> None:
    """Put into the folder what it lacks of the sets that are wanted.

    Args:
        workers: whose shared value is a `Source` too.

    Raises:
        Mistake: what `plan.distill` raises.
    """
    jobs = _jobs(missing(wanted, source), most=workers.most, shape=source.real.shape)
    steps = max((_steps(plan) * len(labels) for plan, labels in jobs), default=0)
    for _ in workers.run(_make, jobs, what="distilling", steps=steps):
        pass


def missing(wanted: Iterable[Wanted], source: Source) -> list[tuple[Plan, list[int]]]:
    """What the folder lacks: a plan's classes, or where they are coupled, each group as wanted."""
    store = Store(source.sets)
    lacking: dict[tuple[Plan, tuple[int, ...]], set[int]] = {}
    for plan, labels in wanted:
        coupled = plan.config.couples_classes
        for piece in pieces_of(plan, source.real.only(labels), source.compute):
            if not store.path(piece.name, KIND, piece.facts).exists():
                together = tuple(piece.labels) if coupled else ()
                lacking.setdefault((plan, together), set()).update(piece.labels)
    return [(plan, sorted(labels)) for (plan, _), labels in lacking.items()]


def _jobs(
    lacking: Sequence[tuple[Plan, list[int]]], *, most: int, shape: Sequence[int]
) -> list[tuple[Plan, list[int]]]:
    """Classes in as few groups as share the work out evenly.

    The classes of small images cost little more together than one of them, and stay together.
    """
    small = max(shape[-2:]) <= SMALL
    parts = 1 if small else most // math.gcd(len(lacking), most)
    jobs = []
    for plan, labels in lacking:
        own = 1 if plan.config.couples_classes else min(parts, len(labels))
        size = -(-len(labels) // own)
        jobs += [(plan, labels[first : first + size]) for first in range(0, len(labels), size)]
    return jobs


def _steps(plan: Plan) -> int:
    """About how many steps of a network one class takes."""
    config = plan.config
    steps = config.iterations if isinstance(config, Config) else 0
    real = config.networks or steps if isinstance(config, Matching) else 0
    return steps + real


def _make(source: Source, job: tuple[Plan, list[int]], progress: Progress) -> None:
    plan, labels = job
    source.distill(plan, source.real.only(labels), progress)
