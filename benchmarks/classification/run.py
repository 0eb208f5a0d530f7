"""Networks trained on sets, on as many processes as pay."""

import dataclasses
import statistics
from pathlib import Path
from typing import Any

from benchmarks.provenance import Stopwatch
from distill import beforehand, train
from distill.beforehand import Source
from distill.images import ImageSet
from distill.networks import Spec, build_many
from distill.plan import Plan
from distill.recipes import Recipe
from distill.runtime.compute import SMALL
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive, generator
from distill.runtime.watch import Watch
from distill.runtime.work import Kept, Work, code
from distill.runtime.workers import Workers
from distill.synthetic import SyntheticSet

Job = tuple[int, list[int], int | None]
"""The number of a set, those of the networks that are trained on it together, and the threads."""


@dataclasses.dataclass(frozen=True)
class Judging(Source):
    """What is trained on the sets, and what judges it.

    Attributes:
        plan: of every set, but for its seed. seed: of the run. networks: trained on each set.
        work: the folder of what was trained already.
    """

    plan: Plan
    test: ImageSet
    spec: Spec
    recipe: Recipe
    seed: int
    networks: int
    work: Path

    def planned(self, number: int) -> Plan:
        """The plan of set `number`."""
        return dataclasses.replace(self.plan, seed=derive(self.seed, "set", number))

    def wanted(self, sets: int) -> list[beforehand.Wanted]:
        """What so many sets need."""
        return [(self.planned(number), self.real.present) for number in range(sets)]

    def groups(self) -> list[list[int]]:
        """The networks of one set that are trained together: all, or each alone.

        On a CPU nothing is gained by training large ones together; small ones are stacked, and all
        of them are, so that rounding is the same on any number of processes.
        """
        numbers = list(range(self.networks))
        large = max(self.real.shape[-2:]) > SMALL and self.compute.device.type == "cpu"
        return [[number] for number in numbers] if large else [numbers]


def accuracies(
    judging: Judging, *, sets: int, workers: int | None, progress: Progress, watch: Stopwatch
) -> tuple[list[list[float]], list[SyntheticSet]]:
    """Of each set's networks, in percent, and the sets.

    What `judging.work` holds is not done again, but what it took counts.

    Args:
        workers: processes; None for as many as pay.
        watch: gets what was done by earlier runs too, shared out over the processes.
    """
    shape, device = judging.real.shape, judging.compute.device
    with Workers(
        judging, shape=shape, device=device, progress=progress, given=workers
    ) as processes:
        wanted = judging.wanted(sets)
        earlier = beforehand.make(wanted, judging, processes)
        small = [judging.distill(plan, progress=progress) for plan, _ in wanted]
        watch.lap("distill", earlier)
        results, earlier = _trained(judging, small, processes)
        watch.lap("train", earlier)
    return results, small


def _trained(
    judging: Judging, sets: list[SyntheticSet], processes: Workers
) -> tuple[list[list[float]], float]:
    """The accuracies, and the seconds of earlier runs, shared out over the processes."""
    groups, recipe, progress = judging.groups(), judging.recipe, processes.progress
    steps = recipe.epochs * recipe.batches(len(sets[0])) * len(groups[0])
    count = processes.count(len(sets) * len(groups), steps)
    threads = judging.threads(count)
    jobs = [(number, group, threads) for number in range(len(sets)) for group in groups]
    kept = _kept(judging, sets, threads, progress)
    trained = processes.run(
        _train,
        jobs,
        what="networks trained",
        steps=steps,
        kept=kept,
        size=lambda job: len(job[1]),
    )
    results: list[list[float]] = [[] for _ in sets]
    earlier = 0.0
    for job, result in zip(jobs, trained, strict=True):
        earlier += result["seconds"] if kept.was_there(job) else 0.0
        own = results[job[0]]
        own += result["accuracies"]
        if len(own) == judging.networks:
            progress.say(f"set {job[0] + 1} of {len(sets)}: {statistics.fmean(own):.2f} %")
    return results, earlier / count


def _kept(
    judging: Judging, sets: list[SyntheticSet], threads: int | None, progress: Progress
) -> Kept:
    """Where the accuracies of groups of networks are kept, by all that they depend on."""
    real, test = judging.real, judging.test
    shared = {
        "what": "accuracies",
        "code": code(),
        "classes": len(real.classes),
        "normalisation": real.normalisation.describe(),
        "test": test.digest(),
        "network": str(judging.spec),
        "recipe": judging.recipe,
        **judging.rounding(threads),
    }
    digests = [small.digest() for small in sets]
    words = f"{real.name}-{judging.plan.method}-ipc{judging.plan.ipc}"

    def name(job: Job) -> str:
        number, group, _ = job
        return f"{words}-set{number}-networks{group[0]}to{group[-1]}"

    def facts(job: Job) -> dict[str, Any]:
        number, group, _ = job
        own = {"set": digests[number], "seed": _seed(judging, number), "numbers": group}
        return shared | own

    return Kept(Work(judging.work, progress.say), name, facts)


def _seed(judging: Judging, number: int) -> int:
    """Of the networks that are trained on set `number`."""
    return derive(judging.seed, "evaluation", number)


def _train(judging: Judging, job: Job, progress: Progress) -> dict[str, Any]:
    """Train some fresh networks on a set that is in the folder; `accuracies`, in percent."""
    (number, group, threads), watch = job, Watch()
    compute = judging.computing(threads)
    real, test, device = judging.real, judging.test, compute.device
    images, labels = judging.distill(judging.planned(number), progress=progress).decoded()
    compute.enter()
    seed, recipe = _seed(judging, number), judging.recipe
    streams = [generator(seed, "network", k) for k in group]
    networks = build_many(judging.spec, real.shape, classes=len(real.classes), generators=streams)
    networks = [network.to(device) for network in networks]
    progress.start("epochs", recipe.epochs)
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
    shown = test.normalisation(test.images).to(device)
    right = 100 * train.accuracy(networks, shown, test.labels, compute=compute).double()
    return {"accuracies": right.round(decimals=4).tolist(), "seconds": round(watch.read()[0], 3)}
