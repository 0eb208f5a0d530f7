"""Class orders, on as many processes as pay; their sets are made first."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.provenance import Stopwatch
from distill import beforehand
from distill.beforehand import Source
from distill.images import Data, ImageSet
from distill.plan import Plan
from distill.runtime import identity
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive
from distill.runtime.store import Store
from distill.runtime.work import Kept, Work, code
from distill.runtime.workers import Workers
from distill.synthetic import SyntheticSet, merge
from downstream.continual.protocol import Protocol, class_order, step_sizes

if TYPE_CHECKING:
    from downstream.continual.metrics import OrderResult

Job = tuple[int, dict[str, Any]]
"""A class order's number, and all that its result depends on."""


@dataclasses.dataclass(frozen=True)
class Orders(Source):
    """What the class orders of a run share.

    Attributes:
        plan: of every set, but for its seed.
        logger: of Avalanche's, or None. logs: its folder.
        work: the folder of class orders that are done or under way. With a logger none is found or
            kept, so that logs are whole.
    """

    plan: Plan
    test: ImageSet
    protocol: Protocol
    logger: str | None
    logs: Path
    work: Path

    def planned(self, order: int) -> Plan:
        """The plan of the set that a class order uses."""
        number = self.protocol.set_number(order)
        return dataclasses.replace(self.plan, seed=derive(self.protocol.seed, "set", number))

    def words(self, order: int) -> str:
        """What a class order is called among the kept ones."""
        words = (self.real.name, self.plan.method, f"ipc{self.plan.ipc}", self.protocol.strategy)
        return "-".join([*words, f"order{order}"])

    def groups(self, order: int) -> list[list[int]]:
        """The classes of each step of a class order, which the memory takes in together."""
        classes = class_order(order, len(self.real.classes))
        ends = [0]
        for size in step_sizes(len(classes), self.protocol.steps):
            ends.append(ends[-1] + size)
        return [sorted(classes[a:b]) for a, b in zip(ends, ends[1:], strict=False)]

    def wanted(self) -> list[beforehand.Wanted]:
        """What the sets of all class orders need: the classes of each step together."""
        numbers = range(self.protocol.orders)
        return [(self.planned(o), group) for o in numbers for group in self.groups(o)]


def results(
    orders: Orders, *, workers: int | None, progress: Progress, watch: Stopwatch
) -> tuple[list["OrderResult"], list[SyntheticSet]]:
    """Of every class order, and the sets that they used.

    What `orders.work` holds is not done again, but what it took counts.

    Args:
        workers: processes; None for as many as pay.
        watch: gets what was done by earlier runs too, shared out over the processes.
    """
    protocol, real = orders.protocol, orders.real
    with Workers(
        orders, shape=real.shape, device=orders.compute.device, progress=progress, given=workers
    ) as processes:
        earlier = beforehand.make(orders.wanted(), orders, processes)
        watch.lap("distill", earlier)
        count = processes.count(protocol.orders, _steps(orders))
        jobs = _jobs(orders, orders.threads(count))
        kept = None
        if orders.logger is None:
            work = Work(orders.work, progress.say)
            kept = Kept(work, lambda job: orders.words(job[0]), lambda job: job[1])
        if kept is None or any(kept.get(job) is None for job in jobs):
            progress.say("loading Avalanche, some seconds ...")
            if count == 1:
                import downstream.continual.run  # noqa: F401
        watch.lap("start")
        measured, earlier = _gone_through(orders, jobs, kept, processes)
    if orders.logger is not None:
        progress.say(f"logs: {orders.logs}")
    watch.lap("train", earlier / count)
    return measured, [_set(orders, number) for number in range(protocol.sets)]


def _gone_through(
    orders: Orders, jobs: list[Job], kept: Kept | None, processes: Workers
) -> tuple[list["OrderResult"], float]:
    """The results of all class orders, and the seconds that earlier runs had spent on them."""
    from downstream.continual.metrics import OrderResult
    from downstream.continual.steps import forget

    measured, earlier, store = [], 0.0, Store(orders.work)
    steps = _steps(orders)
    done = processes.run(_order, jobs, what="class orders done", steps=steps, kept=kept)
    for job, result in zip(jobs, done, strict=True):
        measured.append(OrderResult(result["sizes"], result["matrices"]))
        earlier += result["seconds" if kept and kept.was_there(job) else "earlier"]
        if kept is not None:
            forget(store, orders.words(job[0]), job[1])
    return measured, earlier


def _jobs(orders: Orders, threads: int | None) -> list[Job]:
    """Each class order with all that its result depends on."""
    real, test, protocol = orders.real, orders.test, orders.protocol
    shared = {
        "what": "class order",
        "code": code(),
        "train": real.digest(),
        "test": test.digest(),
        "classes": len(real.classes),
        "normalisation": real.normalisation.describe(),
        "steps": protocol.steps,
        "strategy": protocol.strategy,
        "network": protocol.network,
        "networks": protocol.networks,
        "recipe": protocol.recipe,
        "seed": protocol.seed,
        **orders.rounding(threads),
    }
    return [
        (order, identity.plain(shared | {"order": order, "sets": _digests(orders, order)}))
        for order in range(protocol.orders)
    ]


def _digests(orders: Orders, order: int) -> list[str]:
    """Of what the memory takes in at each step of a class order."""
    plan, real = orders.planned(order), orders.real
    return [orders.distill(plan, real.only(group)).digest() for group in orders.groups(order)]


def _steps(orders: Orders) -> int:
    """About how many optimiser steps of a network one class order takes."""
    protocol = orders.protocol
    held = orders.plan.ipc * len(orders.real.classes) * orders.plan.config.formation**2
    images = len(orders.real) // protocol.steps if protocol.strategy == "replay" else held
    epochs = protocol.steps * protocol.recipe.epochs
    return epochs * protocol.recipe.batches(images) * protocol.networks


def _order(orders: Orders, job: Job, progress: Progress) -> dict[str, Any]:
    """Go through one class order, from where an earlier run left it; its sets are in the folder."""
    from downstream.continual import loggers
    from downstream.continual.run import run_order
    from downstream.continual.steps import Steps

    (order, facts), protocol = job, orders.protocol
    place = orders.work if orders.logger is None else None  # a log begins at the first step
    steps = Steps(place and Store(place, progress.say), orders.words(order), facts)
    epochs = protocol.recipe.epochs
    if steps.done:
        progress.say(f"found {steps.done} of {protocol.steps} steps of class order {order + 1}")
    progress.start("epochs", protocol.steps * epochs, done=steps.done * epochs)
    with loggers.opened(orders.logger, orders.logs / f"order{order}") as opened:
        result = run_order(
            Data(orders.real, orders.test),
            functools.partial(orders.distill, orders.planned(order)),
            ipc=orders.plan.ipc,
            protocol=protocol,
            order=order,
            compute=orders.computing(facts.get("threads")),
            progress=progress,
            loggers=opened,
            steps=steps,
        )
    spent = {"seconds": round(steps.seconds(), 3), "earlier": round(steps.earlier, 3)}
    return {**result._asdict(), **spent}


def _set(orders: Orders, number: int) -> SyntheticSet:
    """All classes of a set by id, as the first class order that uses it had them."""
    order = next(
        o for o in range(orders.protocol.orders) if orders.protocol.set_number(o) == number
    )
    parts = [
        orders.distill(orders.planned(order), orders.real.only(g)) for g in orders.groups(order)
    ]
    whole = merge(parts)
    return merge([whole.only([label]) for label in orders.real.present])
