"""The sets that a command will need, made first: their classes on as many processes as pay.

Each class is made of its own images alone, and kept in the store; whoever asks `plan.distill` for
it afterwards finds it there.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from distill.images import ImageSet
from distill.objectives.matching import Config as Matching
from distill.plan import KIND, Plan, begun, distill, pieces_of
from distill.runtime import locks, ranks
from distill.runtime.compute import SMALL, Compute, usual_threads
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.store import Store
from distill.runtime.watch import Watch
from distill.runtime.workers import Workers
from distill.synthetic import SyntheticSet

SHOWN = 60.0
"""Seconds after which a network's disk shows a file to everyone, at the latest."""
Wanted = tuple[Plan, Sequence[int]]
"""A plan and classes of which it will be asked at once."""
Job = tuple[Plan, list[int]]
"""A plan and those of its classes, ascending, that are made together."""
Numbered = tuple[int, list[int], int | None]
"""A job with its plan's number, as ranks can be sent it, and its threads, the same in every run."""


@dataclasses.dataclass(frozen=True)
class SetSource:
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

    def threads(self, processes: int) -> int | None:
        """Of a job on so many processes, that it must have in every run: they change its last bits.

        None on a GPU.
        """
        if self.compute.device.type != "cpu":
            return None
        return 1 if processes > 1 else self.compute.threads or usual_threads()

    def rounding(self, threads: int | None) -> dict[str, Any]:
        """What a job's last bits depend on besides code: a part of the facts of what is kept."""
        compute = self.compute
        own: dict[str, Any] = {} if threads is None else {"threads": threads}
        own |= {"deterministic": True} if compute.deterministic else {}
        own |= {"compile": compute.compile} if compute.compile != "auto" else {}
        return {"precision": compute.precision, "device": compute.device.type, **own}

    def computing(self, threads: int | None) -> Compute:
        """Where and how a job is done that must have so many threads."""
        return dataclasses.replace(self.compute, threads=threads)


def make(wanted: Iterable[Wanted], source: SetSource, workers: Workers) -> float:
    """Put into the folder what it lacks of the sets that are wanted.

    Two runs at once share the work: what one has in hand the other leaves to the last.

    Args:
        workers: whose shared value is a `SetSource` too.

    Returns:
        The seconds that earlier runs had spent on these sets, shared out over the processes.

    Raises:
        Mistake: what `plan.distill` raises.
    """
    wanted = joined(wanted)
    most = _side_by_side(source, workers)
    store = Store(source.sets, workers.progress.say)
    plans = [plan for plan, _ in wanted]
    lacking, seconds = _decided(wanted, source, store)
    if ranks.leading():
        _say_found(wanted, lacking, source, store)
    jobs, whole = _jobs(lacking, most=most), _jobs(wanted, most=most)
    count = workers.count(len(whole), _most_steps(whole))
    threads = source.threads(count)  # as in a run that finds nothing
    kept, steps = _Kept(source, store, plans), _most_steps(jobs)
    made = workers.run(
        functools.partial(_make, plans),
        [(plans.index(plan), labels, threads) for plan, labels in jobs],
        what="classes distilled",
        steps=steps,
        kept=kept,
        size=lambda job: len(job[1]),
    )
    seconds += sum(made)
    if ranks.world() > 1:
        _see(wanted, source, store)
        ranks.exchange(None)  # what all have seen may be deleted
    return seconds / count / ranks.world()


def _side_by_side(source: SetSource, workers: Workers) -> int:
    """How many jobs can be done at once, on all ranks together.

    The classes of small images cost little more together than one of them, and stay together where
    nobody asked for more.
    """
    small = max(source.real.shape[-2:]) <= SMALL and workers.given is None
    return ranks.world() * (1 if small else workers.most)


def _see(wanted: Iterable[Job], source: SetSource, store: Store) -> None:
    """Wait until a network's disk shows what other ranks have made.

    Raises:
        Mistake: it is not there.
    """
    until = time.monotonic() + SHOWN
    while lacking := missing(wanted, source, store)[0]:
        if time.monotonic() > until:
            _, labels = lacking[0]
            raise Mistake(
                f"class {labels[0]} is not in {source.sets} though a rank has made it: its images "
                "differ there, or it has another folder of that name; give all ranks the same"
            )
        time.sleep(1)


def joined(wanted: Iterable[Wanted]) -> list[Job]:
    """Each plan once with all classes; where they are coupled, with each group as it is wanted."""
    jobs: dict[tuple[Plan, tuple[int, ...]], set[int]] = {}
    for plan, labels in wanted:
        together = tuple(sorted(labels)) if plan.config.couples_classes else ()
        jobs.setdefault((plan, together), set()).update(labels)
    return [(plan, sorted(labels)) for (plan, _), labels in jobs.items()]


def missing(wanted: Iterable[Job], source: SetSource, store: Store) -> tuple[list[Job], float]:
    """What the folder lacks, and the seconds that the rest took.

    All pieces are read, so that a damaged one is set aside here, once, and counts as missing.
    """
    lacking, seconds = [], 0.0
    for plan, labels in wanted:
        own = []
        for place in pieces_of(plan, source.real.only(labels), source.compute):
            piece = store.get(place.name, KIND, place.facts, of=SyntheticSet.of)
            if piece is None:
                own += place.labels
            else:
                seconds += piece.made.seconds
        lacking += [(plan, own)] if own else []
    return lacking, seconds


def _decided(wanted: Sequence[Job], source: SetSource, store: Store) -> tuple[list[Job], float]:
    """What is missing as rank 0 sees it, on every rank."""
    plans = [plan for plan, _ in wanted]

    def numbered() -> tuple[list[tuple[int, list[int]]], float]:
        lacking, seconds = missing(wanted, source, store)
        return [(plans.index(plan), labels) for plan, labels in lacking], seconds

    jobs, seconds = ranks.decided(numbered)
    return [(plans[number], labels) for number, labels in jobs], seconds


def _say_found(
    wanted: Sequence[Job], lacking: Sequence[Job], source: SetSource, store: Store
) -> None:
    """Say in one line what the folder holds of the sets that are wanted, if anything."""
    standing: dict[int, int] = {}
    for plan, labels in lacking:
        places = pieces_of(plan, source.real.only(labels), source.compute)
        for group in begun(plan, places, store):
            if group.state is not None:
                count = sum(len(place.labels) for place in group.places)
                standing[group.state.step] = standing.get(group.state.step, 0) + count
    classes = sum(len(labels) for _, labels in wanted)
    finished = classes - sum(len(labels) for _, labels in lacking)
    if not finished and not standing:
        return
    words = [f"{finished} of {classes} classes finished"]
    plans = {plan for plan, _ in wanted}
    if len(plans) > 1:
        words.insert(0, f"{len(plans - {plan for plan, _ in lacking})} of {len(plans)} sets")
    for step, count in sorted(standing.items()):
        words.append(f"{count} in flight at step {step} of {lacking[0][0].config.iterations}")
    store.say(f"found {', '.join(words)}")


@dataclasses.dataclass(frozen=True)
class _Kept:
    """What `Workers` asks of jobs of sets: results are seconds, the sets are in the folder."""

    source: SetSource
    store: Store
    plans: list[Plan]

    def get(self, job: Numbered) -> float | None:
        """None if the folder lacks any of it."""
        number, labels, _ = job
        lacking, _ = missing([(self.plans[number], labels)], self.source, self.store)
        return None if lacking else 0.0

    def put(self, job: Numbered, result: float) -> None:
        """`plan.distill` has kept the set."""

    def claim(self, job: Numbered) -> AbstractContextManager[bool]:
        """Whether no other run makes this very part of a set."""
        number, labels, _ = job
        plan = self.plans[number]
        first = pieces_of(plan, self.source.real.only(labels), self.source.compute)[0]
        path = self.store.path(first.name, KIND, first.facts)
        return locks.tried(path.with_suffix(".job"))  # the piece's own lock is `plan.distill`'s


def _jobs(lacking: Sequence[Job], *, most: int) -> list[Job]:
    """Classes in as few groups as share the work out evenly over `most` hands."""
    parts = most // math.gcd(len(lacking), most)
    jobs = []
    for plan, labels in lacking:
        own = 1 if plan.config.couples_classes else min(parts, len(labels))
        size = -(-len(labels) // own)
        jobs += [(plan, labels[first : first + size]) for first in range(0, len(labels), size)]
    return jobs


def _most_steps(jobs: Iterable[Job]) -> int:
    """About how many steps of a network the longest of them takes, class by class."""
    return max((_steps(plan) * len(labels) for plan, labels in jobs), default=0)


def _steps(plan: Plan) -> int:
    """About how many steps of a network one class takes."""
    config = plan.config
    steps = config.iterations if config.stepwise else 0
    if not isinstance(config, Matching):
        return steps  # gradient matching takes its real images within its steps
    return steps + (config.networks or steps)  # each target is a step through real images


def _make(plans: list[Plan], source: SetSource, job: Numbered, progress: Progress) -> float:
    """Make a part of a set; the seconds that earlier runs, broken off, had spent on it."""
    number, labels, threads = job
    watch, source = Watch(), dataclasses.replace(source, compute=source.computing(threads))
    made = source.distill(plans[number], source.real.only(labels), progress).made
    return max(0.0, made.seconds - watch.read()[0])
