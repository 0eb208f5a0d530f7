"""Networks trained on sets, on as many processes as pay."""

import dataclasses
import statistics
from collections.abc import Iterator

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
from distill.runtime.workers import Workers
from distill.synthetic import SyntheticSet


@dataclasses.dataclass(frozen=True)
class Judging(Source):
    """What is trained on the sets, and what judges it.

    Attributes:
        plan: of every set, but for its seed. seed: of the run. networks: trained on each set.
    """

    plan: Plan
    test: ImageSet
    spec: Spec
    recipe: Recipe
    seed: int
    networks: int

    def planned(self, number: int) -> Plan:
        """The plan of set `number`."""
        return dataclasses.replace(self.plan, seed=derive(self.seed, "set", number))

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

    Args:
        workers: processes; None for as many as pay.
    """
    shape, device = judging.real.shape, judging.compute.device
    with Workers(
        judging, shape=shape, device=device, progress=progress, given=workers
    ) as processes:
        wanted = [(judging.planned(number), judging.real.present) for number in range(sets)]
        beforehand.make(wanted, judging, processes)
        small = [judging.distill(plan, progress=progress) for plan, _ in wanted]
        watch.lap("distill")
        trained = _trained(judging, small, processes)
        results = []
        for number in range(sets):
            results.append([right for _ in judging.groups() for right in next(trained)])
            progress.say(f"set {number}: {statistics.fmean(results[-1]):.2f} %")
        watch.lap("train")
    return results, small


def _trained(
    judging: Judging, sets: list[SyntheticSet], processes: Workers
) -> Iterator[list[float]]:
    """The accuracies of each group of networks, set after set."""
    jobs = [(number, group) for number in range(len(sets)) for group in judging.groups()]
    recipe = judging.recipe
    steps = recipe.epochs * recipe.batches(len(sets[0])) * len(jobs[0][1])
    return processes.run(_accuracies, jobs, what="training", steps=steps)


def _accuracies(judging: Judging, job: tuple[int, list[int]], progress: Progress) -> list[float]:
    """In percent, of some fresh networks trained on a set that is in the folder."""
    number, group = job
    judging.compute.enter()
    real, test, device = judging.real, judging.test, judging.compute.device
    images, labels = judging.distill(judging.planned(number), progress=progress).decoded()
    seed, recipe = derive(judging.seed, "evaluation", number), judging.recipe
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
        compute=judging.compute,
        progress=progress,
    )
    shown = test.normalisation(test.images).to(device)
    right = 100 * train.accuracy(networks, shown, test.labels, compute=judging.compute).double()
    return right.round(decimals=4).tolist()
