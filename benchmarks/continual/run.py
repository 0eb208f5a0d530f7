"""Class orders, on as many processes as pay; their sets are made first."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.continual import facts
from benchmarks.provenance import Stopwatch
from benchmarks.schema import SetUsed, set_used
from distill.images import Data, ImageSet
from distill.plan import Plan
from distill.runtime import identity
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive
from distill.runtime.store import Store
from distill.runtime.work import FinishedJobs, Work, code
from distill.runtime.workers import Workers
from distill.sets import beforehand
from distill.sets.beforehand import SetSource
from distill.synthetic import digest, merge
from downstream.continual import reference
from downstream.continual.memory import Memory
from downstream.continual.protocol import Protocol, class_order, step_sizes
from downstream.continual.reference import Reference

if TYPE_CHECKING:
    from downstream.continual.metrics import OrderResult

Job = tuple[int, dict[str, Any]]
"""A class order's number, and all that its result depends on."""


@dataclasses.dataclass(frozen=True)
class Orders(SetSource):
    """What the class orders of a run share.

    Attributes:
        plan: of every set, or of a memory that is no method's, but for its seed.
        logger: of Avalanche's, or None. logs: its folder.
        work: the folder of class orders that are done or under way. With a logger none is found or
            kept, so that logs are whole.
    """

    plan: Plan | Reference
    test: ImageSet
    protocol: Protocol
    logger: str | None
    logs: Path
    work: Path

    def planned(self, order: int) -> Plan | Reference:
        """The plan of the set or memory that a class order uses."""
        number = self.protocol.set_number(order)
        return dataclasses.replace(self.plan, seed=derive(self.protocol.seed, "set", number))

    def words(self, order: int) -> str:
        """What a class order is called among the kept ones."""
        plan = self.plan
        cell = facts.words(self.real.name, plan.method, plan.ipc, self.protocol.strategy)
        return f"{cell}-order{order}"

    def groups(self, order: int) -> list[list[int]]:
        """The classes of each step of a class order, which the memory takes in together."""
        classes = class_order(order, len(self.real.classes))
        ends = [0]
        for size in step_sizes(len(classes), self.protocol.steps):
            ends.append(ends[-1] + size)
        return [sorted(classes[a:b]) for a, b in zip(ends, ends[1:], strict=False)]

    def wanted(self) -> list[beforehand.Wanted]:
        """What the sets of all class orders need: the classes of each step together."""
        if isinstance(self.plan, Reference):
            return []
        numbers = range(self.protocol.orders)
        return [(self.planned(o), group) for o in numbers for group in self.groups(o)]


def results(
    orders: Orders, *, workers: int | None, progress: Progress, watch: Stopwatch
) -> tuple[list["OrderResult"], list[SetUsed]]:
    """Of every class order, and the sets (of `reservoir`, the memories) that they used.

    What `orders.work` holds is not done again, but what it took counts.

    Args:
        workers: processes; None for as many as pay.
        watch: gets what was done by earlier runs too, shared out over the processes.
    """
    protocol, real = orders.protocol, orders.real
    with Workers(
        orders, shape=real.shape, device=orders.compute.device, progress=progress, given=workers
    ) as processes:
        wanted = orders.wanted()
        earlier = beforehand.make(wanted, orders, processes) if wanted else 0.0
        watch.lap("distill", earlier)
        count = processes.count(protocol.orders, _steps(orders))
        jobs = _jobs(orders, orders.threads(count))
        kept = None
        if orders.logger is None:
            work = Work(orders.work, progress.say)
            kept = FinishedJobs(work, lambda job: orders.words(job[0]), lambda job: job[1])
        if kept is None or any(kept.get(job) is None for job in jobs):
            progress.say("loading Avalanche, some seconds ...")
            if count == 1:
                import downstream.continual.run  # noqa: F401
        watch.lap("start")
        measured, earlier = _gone_through(orders, jobs, kept, processes)
    if orders.logger is not None:
        progress.say(f"logs: {orders.logs}")
    watch.lap("train", earlier / count)
    return measured, [_used(orders, number) for number in range(protocol.sets)]


def _gone_through(
    orders: Orders, jobs: list[Job], kept: FinishedJobs | None, processes: Workers
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
        (order, identity.plain(shared | {"order": order, **_memory_facts(orders, order)}))
        for order in range(protocol.orders)
    ]


def _memory_facts(orders: Orders, order: int) -> dict[str, Any]:
    """What the memory takes in at each step of a class order."""
    plan, real = orders.planned(order), orders.real
    if isinstance(plan, Reference):
        return {"memory": {"version": reference.VERSION, "asked": dataclasses.asdict(plan)}}
    sets = [orders.distill(plan, real.only(group)) for group in orders.groups(order)]
    return {"sets": [small.digest() for small in sets]}


def _steps(orders: Orders) -> int:
    """About how many optimiser steps of a network one class order takes."""
    protocol = orders.protocol
    if orders.plan.method == "joint":
        images = len(orders.real)
    elif protocol.strategy == "replay":
        images = len(orders.real) // protocol.steps
    else:
        images = orders.plan.ipc * len(orders.real.classes) * orders.plan.config.formation**2
    epochs = protocol.steps * protocol.recipe.epochs
    return epochs * protocol.recipe.batches(images) * protocol.networks


def _order(orders: Orders, job: Job, progress: Progress) -> dict[str, Any]:
    """Go through one class order, from where an earlier run left it; its sets are in the folder."""
    from downstream.continual import loggers
    from downstream.continual.run import run_order
    from downstream.continual.steps import Steps

    (order, known), protocol = job, orders.protocol
    plan = orders.planned(order)
    place = orders.work if orders.logger is None else None  # a log begins at the first step
    steps = Steps(place and Store(place, progress.say), orders.words(order), known)
    epochs = protocol.recipe.epochs
    if steps.done:
        progress.say(f"found {steps.done} of {protocol.steps} steps of class order {order + 1}")
    progress.start("epochs", protocol.steps * epochs, done=steps.done * epochs)
    with loggers.opened(orders.logger, orders.logs / f"order{order}") as opened:
        result = run_order(
            Data(orders.real, orders.test),
            plan if isinstance(plan, Reference) else functools.partial(orders.distill, plan),
            ipc=plan.ipc,
            protocol=protocol,
            order=order,
            compute=orders.computing(known.get("threads")),
            progress=progress,
            loggers=opened,
            steps=steps,
        )
    spent = {"seconds": round(steps.seconds(), 3), "earlier": round(steps.earlier, 3)}
    return {**result._asdict(), **spent}


def _used(orders: Orders, number: int) -> SetUsed:
    """A set, or a memory after the last step, as the first class order that uses it had it."""
    order = next(
        o for o in range(orders.protocol.orders) if orders.protocol.set_number(o) == number
    )
    plan, groups = orders.planned(order), orders.groups(order)
    if isinstance(plan, Reference):
        return _memory_used(plan, plan.memory(orders.real), groups)
    whole = merge([orders.distill(plan, orders.real.only(group)) for group in groups])
    return set_used(merge([whole.only([label]) for label in orders.real.present]))


def _memory_used(plan: Reference, memory: Memory, groups: list[list[int]]) -> SetUsed:
    """A memory of real images after all steps; its images are counted as they lie in it."""
    for group in groups:
        memory.take(group)
    return SetUsed(
        seed=plan.seed,
        digest=digest(memory.real.images[memory.kept], memory.real.labels[memory.kept])[:12],
        seconds=0.0,
        images=len(memory.kept),
        bytes=memory.stored_bytes,
    )
