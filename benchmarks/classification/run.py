"""Networks trained on sets, on as many processes as pay: all rows of a command in one go."""

import dataclasses
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.provenance import Stopwatch
from distill.drawing import all_seen
from distill.images import ImageSet
from distill.networks import Spec, build_many
from distill.plan import Plan
from distill.runtime.compute import SMALL
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive, generator
from distill.runtime.watch import Watch
from distill.runtime.work import FinishedJobs, Work, code
from distill.runtime.workers import Workers
from distill.sets import beforehand
from distill.sets.beforehand import SetSource
from distill.synthetic import SyntheticSet
from distill.training import train
from distill.training.recipes import Recipe

Job = tuple[int, int, list[int], int | None]
"""The numbers of a row, of a set and of the networks trained on it together, and the threads."""


class Row(NamedTuple):
    """What makes a row of a table.

    Attributes:
        label: what it is called. plan: of every set, but for its seed. spec: of the networks.
    """

    label: str
    plan: Plan
    spec: Spec


class Judged(NamedTuple):
    """What came of a row.

    Attributes:
        accuracies: [set][network], in percent.
        seconds: wall clock by stage, earlier runs' too; of several rows each has its share.
    """

    accuracies: list[list[float]]
    sets: list[SyntheticSet]
    seconds: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Judging(SetSource):
    """What is trained on the sets, and what judges it.

    Attributes:
        rows: all that is asked for. Rows of one plan have the same sets.
        seed: of the run. count: sets of each row. networks: trained on each set.
        work: the folder of what was trained already.
    """

    rows: tuple[Row, ...]
    test: ImageSet
    recipe: Recipe
    seed: int
    count: int
    networks: int
    work: Path

    def planned(self, row: int, number: int) -> Plan:
        """The plan of set `number` of a row."""
        return dataclasses.replace(self.rows[row].plan, seed=derive(self.seed, "set", number))

    def plans(self, row: int) -> list[Plan]:
        """Those of all sets of a row."""
        return [self.planned(row, number) for number in range(self.count)]

    def wanted(self) -> list[beforehand.Wanted]:
        """What all sets need, each once."""
        plans = [plan for row in range(len(self.rows)) for plan in self.plans(row)]
        return [(plan, self.real.present) for plan in dict.fromkeys(plans)]

    def groups(self) -> list[list[int]]:
        """The networks of one set that are trained together: all, or each alone.

        On a CPU nothing is gained by training large ones together; small ones are stacked, and all
        of them are, so that rounding is the same on any number of processes.
        """
        numbers = list(range(self.networks))
        large = max(self.real.shape[-2:]) > SMALL and self.compute.device.type == "cpu"
        return [[number] for number in numbers] if large else [numbers]


def judged(judging: Judging, *, workers: int | None, progress: Progress) -> list[Judged]:
    """Of each row the accuracies and the sets.

    What `judging.work` holds is not done again, but what it took counts, shared out over the
    processes.

    Args:
        workers: processes; None for as many as pay.
    """
    shape, device, watch = judging.real.shape, judging.compute.device, Stopwatch()
    with Workers(
        judging, shape=shape, device=device, progress=progress, given=workers
    ) as processes:
        watch.lap("distill", beforehand.make(judging.wanted(), judging, processes))
        sets = {plan: judging.distill(plan, progress=progress) for plan, _ in judging.wanted()}
        watch.lap("distill")
        rows = [[sets[plan] for plan in judging.plans(row)] for row in range(len(judging.rows))]
        accuracies, seconds, earlier = _trained(judging, rows, processes)
        watch.lap("train", earlier)
    makers = {row.plan: own for row, own in zip(judging.rows, rows, strict=True)}
    spent = {plan: sum(small.made.seconds for small in own) for plan, own in makers.items()}
    return [
        Judged(
            accuracies[number],
            own,
            {
                "distill": _share(watch.seconds["distill"], spent[row.plan], spent.values()),
                "train": _share(watch.seconds["train"], seconds[number], seconds),
            },
        )
        for number, (row, own) in enumerate(zip(judging.rows, rows, strict=True))
    ]


def _share(whole: float, part: float, parts: Iterable[float]) -> float:
    """Of a whole, as large as a part of all parts is; an even one where they took no time."""
    parts = list(parts)
    total = sum(parts)
    return round(whole * (part / total if total else 1 / len(parts)), 2)


def _trained(
    judging: Judging, rows: list[list[SyntheticSet]], processes: Workers
) -> tuple[list[list[list[float]]], list[float], float]:
    """Of each row the accuracies and the seconds, and what of these earlier runs had spent.

    The last is shared out over the processes.
    """
    groups, recipe, progress = judging.groups(), judging.recipe, processes.progress
    longest = max(len(small) for own in rows for small in own)
    steps = recipe.epochs * recipe.batches(longest) * len(groups[0])
    # Of a row by itself, so that its last bits do not depend on what else is asked for.
    alone = processes.count(judging.count * len(groups), steps)
    threads = judging.threads(alone)
    jobs: list[Job] = [
        (row, number, group, threads)
        for row in range(len(rows))
        for number in range(judging.count)
        for group in groups
    ]
    kept = _kept(judging, rows, threads, progress)
    trained = processes.run(
        _train,
        jobs,
        what="networks trained",
        steps=steps,
        kept=kept,
        size=lambda job: len(job[2]),
    )
    results: list[list[list[float]]] = [[[] for _ in own] for own in rows]
    seconds, earlier = [0.0] * len(rows), 0.0
    for job, result in zip(jobs, trained, strict=True):
        seconds[job[0]] += result["seconds"]
        earlier += result["seconds"] if kept.was_there(job) else 0.0
        own = results[job[0]][job[1]]
        own += result["accuracies"]
        if len(own) == judging.networks:
            words = f"{_named(judging, job[0])}set {job[1] + 1} of {judging.count}"
            progress.say(f"{words}: {statistics.fmean(own):.2f} %")
    return results, seconds, earlier / processes.count(len(jobs), steps)


def _named(judging: Judging, row: int) -> str:
    """Which of several rows is spoken of; nothing of one alone."""
    own = judging.rows[row]
    specs = {other.spec for other in judging.rows}
    where = f" on {own.spec}" if len(specs) > 1 else ""
    return f"{own.label}{where}, " if len(judging.rows) > 1 else ""


def _kept(
    judging: Judging,
    rows: list[list[SyntheticSet]],
    threads: int | None,
    progress: Progress,
) -> FinishedJobs:
    """Where the accuracies of groups of networks are kept, by all that they depend on."""
    real, test = judging.real, judging.test
    shared = {
        "what": "accuracies",
        "code": code(),
        "classes": len(real.classes),
        "normalisation": real.normalisation.describe(),
        "test": test.digest(),
        "recipe": judging.recipe,
        **judging.rounding(threads),
    }
    digests = [[small.digest() for small in own] for own in rows]

    def name(job: Job) -> str:
        row, number, group, _ = job
        plan = judging.rows[row].plan
        words = f"{real.name}-{plan.method}-ipc{plan.ipc}"
        return f"{words}-set{number}-networks{group[0]}to{group[-1]}"

    def facts(job: Job) -> dict[str, Any]:
        row, number, group, _ = job
        own = {"network": str(judging.rows[row].spec), "set": digests[row][number]}
        return shared | own | {"seed": _seed(judging, number), "numbers": group}

    return FinishedJobs(Work(judging.work, progress.say), name, facts)


def _seed(judging: Judging, number: int) -> int:
    """Of the networks that are trained on set `number`."""
    return derive(judging.seed, "evaluation", number)


def _train(judging: Judging, job: Job, progress: Progress) -> dict[str, Any]:
    """Train some fresh networks on a set that is in the folder; `accuracies`, in percent."""
    (row, number, group, threads), watch = job, Watch()
    compute, spec = judging.computing(threads), judging.rows[row].spec
    real, test, device = judging.real, judging.test, compute.device
    images, labels = judging.distill(judging.planned(row, number), progress=progress).decoded()
    compute.enter()
    seed, recipe = _seed(judging, number), judging.recipe
    streams = [generator(seed, "network", k) for k in group]
    networks = build_many(spec, real.shape, classes=len(real.classes), generators=streams)
    networks = [network.to(device) for network in networks]
    progress.start("epochs", recipe.epochs)
    try:
        train.fit(
            networks,
            real.normalisation(images).to(device),
            labels.to(device),
            recipe=recipe,
            seed=seed,
            numbers=group,
            compute=compute,
            progress=progress,
        )
        shown = all_seen(test, device)
        right = 100 * train.accuracy(networks, shown, test.labels, compute=compute).double()
    except train.Diverged as error:
        raise train.Diverged(f"{_named(judging, row)}{error}") from error
    return {"accuracies": right.round(decimals=4).tolist(), "seconds": round(watch.read()[0], 3)}
