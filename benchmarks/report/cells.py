"""Every published cell: the record that stands beside it, or the command that would, and its cost.

A cell is a figure of a method's authors in `reported.csv`.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from benchmarks import beside, evidence
from benchmarks.classification import rows as classification
from benchmarks.classification.facts import usual_network
from benchmarks.continual import rows as continual
from benchmarks.evidence import Estimate
from benchmarks.page import Page
from benchmarks.record import Record
from benchmarks.report import effort
from benchmarks.report.effort import Stages
from benchmarks.reported import Reported
from distill import datasets, networks, presets
from distill.images import About
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from distill.training import recipes
from downstream.continual import metrics
from downstream.continual import protocol as protocols
from downstream.continual.protocol import step_sizes
from downstream.nas import proxy

RANKED = {"spearman": "Spearman, all", "spearman_top": "Spearman, top 20 %"} | {
    "performance": "top-1",
    "minutes": "minutes",
    "images": "images",
}
"""What is published of searches, and the columns of their pages that have it."""
TRIED = 12
"""Networks of a space whose mean size stands for that of all."""


class Ours(NamedTuple):
    """A figure of ours that may stand beside a published one.

    Attributes:
        value: a mean with its interval, or a plain number. where: steps, strategy and classes of a
            class-incremental run; the metric of a search. as_published: whether the method has its
            published settings. verdict: see `beside.NOTE`.
    """

    record: Record
    method: str
    ipc: int | None
    value: Estimate | float
    where: Mapping[str, Any]
    as_published: bool
    verdict: str | None = None


class Command(NamedTuple):
    """What fills a cell. effort: None where it cannot be said."""

    text: str
    effort: Stages | None


class _Lacking(Exception):
    """Why no command fills a cell."""


def offers(records: Sequence[Record], pages: Mapping[str, Page]) -> list[Ours]:
    """All that may stand beside a published figure."""
    return [own for record in records for own in _offers(record, pages)]


def _offers(record: Record, pages: Mapping[str, Page]) -> Iterator[Ours]:
    if record.kind == "nas":
        yield from _ranked(record, pages)
    if record.kind not in ("classification", "continual"):
        return
    making, protocol = record.cell.making, record.protocol
    cell, published = (record, making.method, making.ipc), not making.config
    published = published or record.label.split()[1:] == ["paper"]
    if record.kind == "classification":
        yield Ours(*cell, classification.accuracy(record), {}, published)
        return
    seen = 0
    for step, new in enumerate(step_sizes(continual.classes(record), protocol.steps)):
        seen += new

        def at_step(matrix: Any, sizes: list[int], step: int = step) -> float:
            return metrics.seen_accuracy(matrix, sizes, step)

        value = evidence.estimate(continual.runs(record, at_step), within=evidence.PERCENT)
        where = {"steps": protocol.steps, "strategy": protocol.strategy, "classes": seen}
        yield Ours(*cell, value, where, published)


def _ranked(record: Record, pages: Mapping[str, Page]) -> Iterator[Ours]:
    """Of a proxy in the published space, as the page of its ranking has it."""
    p, making = record.protocol, record.cell.making
    cell = (record, record.cell.proxy, making and making.ipc)
    if (p.space, p.networks) != ("paper", 720) or p.trials:
        return
    for page in pages.values():
        keys = page.tables[0].keys if page.tables else ()
        if record.key not in keys:
            continue
        row = page.frame.iloc[list(keys).index(record.key)]
        for metric, column in RANKED.items():
            if column in row and pd.notna(row[column]):
                verdict = row.get(f"{column}, verdict") or None
                yield Ours(*cell, row[column], {"metric": metric}, True, verdict)


def ours(row: Reported, known: Sequence[Ours]) -> Ours | None:
    """What stands beside a cell: by the published settings, of the most epochs and of most runs."""
    fitting = [own for one in known if (own := _fitted(row, one)) is not None]

    def place(own: Ours) -> tuple:
        epochs = own.record.protocol.recipe.epochs if own.record.kind != "nas" else 0
        return own.as_published, epochs, getattr(own.value, "runs", 0), own.record.key

    return max(fitting, key=place, default=None)


def _fitted(row: Reported, own: Ours) -> Ours | None:
    """A figure of ours with its verdict, if it may stand beside a published one."""
    record, p = own.record, own.record.protocol
    cell = (record.kind, p.dataset.name, own.method, own.ipc)
    if cell != (row.experiment, row.dataset, row.method, row.ipc):
        return None
    if record.kind == "nas":
        return own if own.where["metric"] == row.metric else None
    known = beside.columns(
        [row],
        own.value,
        experiment=record.kind,
        dataset=p.dataset,
        making=record.cell.making,
        label=record.label,
        network=p.network,
        recipe=p.recipe,
        zca=bool(p.normalisation.get("zca")),
        **own.where,
    )
    return own._replace(verdict=known["verdict"]) if known["reported"] else None


# ------------------------------------------------------------------ what would fill a cell


@functools.lru_cache(maxsize=2)
def commands(rows: tuple[Reported, ...]) -> dict[Reported, Command | str]:
    """Of every cell the command whose record would stand beside it, or why there is none.

    Args:
        rows: all that is published; of some datasets it alone says how large they are.
    """
    own: dict[Reported, Command | str] = {}
    for row in rows:
        if row.by == "authors":
            try:
                _require(row)
                own[row] = FILLS[row.experiment](row, datasets.about(row.dataset), rows)
            except (_Lacking, Mistake) as reason:
                own[row] = str(reason)
    return own


def _require(row: Reported) -> None:
    """Check that there is a command at all.

    Raises:
        _Lacking: there is none.
    """
    search = row.experiment == "nas"
    methods = registry.names("distill.methods")
    methods += (*proxy.REAL, *proxy.UNTRAINED) if search else ()
    reasons = {
        "neither its dataset nor its GPU is stated": row.experiment not in FILLS,
        "its dataset is not here": row.dataset not in registry.names("distill.datasets"),
        "no command trains on the whole dataset alone": row.method == "whole" and not search,
        "its method is not here; a set that its authors publish can be judged": (
            row.method not in methods
        ),
        "it is of soft labels": row.labels == "soft",
        f"the recipe '{row.recipe}' is not here": row.recipe not in (None, *presets.RECIPES),
        f"'{row.metric}' is not measured": search and row.metric not in RANKED,
        "its images a class are not stated": not search and row.ipc is None,
        "its steps are not stated": row.experiment == "continual" and row.steps is None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise _Lacking(reason)


def _accuracy(row: Reported, about: About, rows: Sequence[Reported]) -> Command:
    """Of networks trained on the set alone, once or after each step."""
    network, classes, steps = _network(row, about), _classes(about, rows), [1.0]
    words = f"--dataset {row.dataset} --ipc {row.ipc} --preset paper"
    if row.experiment == "continual":
        p = protocols.preset("paper", about, steps=row.steps, strategy="retrain", seed=0)
        recipe, sets, usual, trained = p.recipe, p.sets, p.network, p.orders * p.networks
        words = f"continual --buffer {row.method} --steps {row.steps} {words}"
        steps = [seen / classes for seen in itertools.accumulate(step_sizes(classes, row.steps))]
    else:
        recipe, usual = recipes.named(row.recipe or "dm", about), usual_network(about)
        sets, own = row.sets or 3, row.networks or 5
        trained = sets * own
        words = f"classification --method {row.method} {words}" + " --zca" * bool(row.zca)
        words += f" --recipe {row.recipe}" * (row.recipe not in (None, "dm"))
        words += f" --sets {sets}" * (sets != 3) + f" --networks {own}" * (own != 5)
    words += f" --network {network}" * (network != usual)
    config = registry.load("distill.methods", row.method).preset(about, row.ipc, "paper")
    if row.norm == "batch" and config.learns:  # as the network in which the set was learned
        config = dataclasses.replace(config, network=usual.replace("instance", "batch"))
        words += f" --method.network {config.network}"
    if row.epochs not in (None, recipe.epochs):
        recipe = dataclasses.replace(recipe, epochs=row.epochs)
        words += f" --epochs {row.epochs}"
    if row.factor == 2:
        config = dataclasses.replace(config, formation=2)
        words += " --method.formation 2"
    images = row.ipc * (row.factor or 1) ** 2 * classes * sum(steps)
    one = effort.training_on(images, network, recipe, about.shape, classes)
    real, tested = about.sizes or (0, 0)
    one += tested * sum(steps) * effort.forward(network, about.shape, classes)
    made = effort.making(config, row.ipc, real, about.shape, classes)
    return Command(f"python -m benchmarks.{words}", Stages(sets * made, trained * one))


def _nas(row: Reported, about: About, rows: Sequence[Reported]) -> Command:
    ipc = row.ipc or max(other.ipc or 0 for other in rows if other.experiment == "nas")
    words = f"python -m benchmarks.nas --proxy {row.method} --dataset {row.dataset}"
    words += f" --ipc {ipc}" * (row.method != "whole") + " --preset paper"
    p, classes = proxy.preset("paper", about), _classes(about, rows)
    real, tested = about.sizes or (0, 0)
    tried = [effort.forward(str(spec), about.shape, classes) for spec in p.space.sample(TRIED)]
    images = ipc * classes if row.method != "whole" else real
    if row.method in proxy.UNTRAINED or not images:
        return Command(words, None)
    recipe, made = (p.truth if row.method == "whole" else p.recipe), 0.0
    if row.method not in proxy.REAL:
        config = registry.load("distill.methods", row.method).preset(about, ipc, "paper")
        made = effort.making(config, ipc, real, about.shape, classes)
    passes = (images * recipe.epochs * effort.WEIGHTS + tested) * p.networks
    return Command(words, Stages(made, passes * sum(tried) / len(tried)))


FILLS = {"classification": _accuracy, "continual": _accuracy, "nas": _nas}
"""By experiment: what makes the command of a cell."""


def _classes(about: About, rows: Sequence[Reported]) -> int:
    """How many a dataset has, as it or what is published says."""
    stated = getattr(registry.load("distill.datasets", about.name), "CLASSES", None)
    seen = [row.classes for row in rows if row.dataset == about.name and row.classes]
    return len(about.classes or ()) or (stated if isinstance(stated, int) else max(seen, default=2))


def _network(row: Reported, about: About) -> str:
    """The judging network as far as it is stated, else as the field has it."""
    family, *words = (row.network or "convnet").split("-")
    if family == "convnet":
        depth = next((word for word in words if word[0] == "d"), f"d{about.depth}")
        width = next((word for word in words if word[0] == "w"), "w128")
        return f"convnet-{depth}-{width}-{row.norm or 'instance'}-relu-avg"
    # The others have batch norm in the code that the field shares.
    return str(networks.parse(f"{row.network}-{row.norm or 'batch'}"))
