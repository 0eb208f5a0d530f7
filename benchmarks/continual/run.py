"""Class orders, on as many processes as pay; their sets are made first."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.provenance import Stopwatch
from distill import beforehand
from distill.beforehand import Source
from distill.images import Data, ImageSet
from distill.plan import Plan
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive
from distill.runtime.workers import Workers
from distill.synthetic import SyntheticSet, merge
from downstream.continual.protocol import Protocol, class_order, step_sizes

if TYPE_CHECKING:
    from downstream.continual.metrics import OrderResult


@dataclasses.dataclass(frozen=True)
class Orders(Source):
    """What the class orders of a run share.

    Attributes:
        plan: of every set, but for its seed.
        logger: of Avalanche's, or None. logs: its folder.
    """

    plan: Plan
    test: ImageSet
    protocol: Protocol
    logger: str | None
    logs: Path

    def planned(self, order: int) -> Plan:
        """The plan of the set that a class order uses."""
        number = self.protocol.set_number(order)
        return dataclasses.replace(self.plan, seed=derive(self.protocol.seed, "set", number))

    def groups(self, order: int) -> list[list[int]]:
        """The classes of each step of a class order, which the memory takes in together."""
        classes = class_order(order, len(self.real.classes))
        ends = [0]
        for size in step_sizes(len(classes), self.protocol.steps):
            ends.append(ends[-1] + size)
        return [sorted(classes[a:b]) for a, b in zip(ends, ends[1:], strict=False)]


def results(
    orders: Orders, *, workers: int | None, progress: Progress, watch: Stopwatch
) -> tuple[list["OrderResult"], list[SyntheticSet]]:
    """Of every class order, and the sets that they used.

    Args:
        workers: processes; None for as many as pay.
    """
    protocol, real = orders.protocol, orders.real
    numbers = range(protocol.orders)
    with Workers(
        orders, shape=real.shape, device=orders.compute.device, progress=progress, given=workers
    ) as processes:
        wanted = [(orders.planned(o), group) for o in numbers for group in orders.groups(o)]
        beforehand.make(wanted, orders, processes)
        watch.lap("distill")
        progress.say("loading Avalanche, some seconds ...")
        steps = _steps(orders)
        if processes.count(protocol.orders, steps) == 1:
            import downstream.continual.run  # noqa: F401
        watch.lap("start")
        measured = list(processes.run(_order, numbers, what="class orders", steps=steps))
    if orders.logger is not None:
        progress.say(f"logs: {orders.logs}")
    watch.lap("train")
    return measured, [_set(orders, number) for number in range(protocol.sets)]


def _steps(orders: Orders) -> int:
    """About how many optimiser steps of a network one class order takes."""
    protocol = orders.protocol
    held = orders.plan.ipc * len(orders.real.classes) * orders.plan.config.formation**2
    images = len(orders.real) // protocol.steps if protocol.strategy == "replay" else held
    epochs = protocol.steps * protocol.recipe.epochs
    return epochs * protocol.recipe.batches(images) * protocol.networks


def _order(orders: Orders, order: int, progress: Progress) -> "OrderResult":
    """Go through one class order; its sets are found in the folder."""
    from downstream.continual import loggers
    from downstream.continual.run import run_order

    protocol = orders.protocol
    progress.start("epochs", protocol.steps * protocol.recipe.epochs)
    with loggers.opened(orders.logger, orders.logs / f"order{order}") as opened:
        return run_order(
            Data(orders.real, orders.test),
            functools.partial(orders.distill, orders.planned(order)),
            ipc=orders.plan.ipc,
            protocol=protocol,
            order=order,
            compute=orders.compute,
            progress=progress,
            loggers=opened,
        )


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
