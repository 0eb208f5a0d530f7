"""A command of architecture search, once it has been checked: its trials, and its record."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import command as shared
from benchmarks.nas import facts
from benchmarks.nas.flags import Nas
from benchmarks.provenance import cost
from benchmarks.record import Record
from benchmarks.schema import Provenance, making, set_used
from distill.images import Data
from distill.plan import Plan
from distill.runtime.compute import Compute
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.workers import Workers
from distill.sets import beforehand
from distill.sets.beforehand import SetSource
from distill.synthetic import SyntheticSet
from downstream.nas import proxy, ranking, zero
from downstream.nas.proxy import ProxyComparison
from downstream.nas.search import LEARNING, Engine, Search, Trials
from downstream.nas.trial import TrialSettings, job
from downstream.nas.truth import Truth

Rows = Sequence[dict[str, Any]]
"""Of a ledger."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """A command whose every part has been checked, so that nothing of it fails after an hour.

    Attributes:
        plan: of the proxy's images; None for a proxy that has none of its own.
        truth: how the ground truth is made, and `known`: what records hold of it.
    """

    command: Nas
    plan: Plan | None
    label: str
    data: Data
    comparison: ProxyComparison
    engine: Engine
    compute: Compute
    truth: TrialSettings
    known: dict[str, float | None]

    @property
    def proxy(self) -> str:
        """The method that makes the proxy's images, or the proxy itself."""
        return self.plan.method if self.plan else self.command.proxy


def run(ready: Ready, provenance: Provenance) -> Record:
    """Make the proxy, try the networks on it and on the whole dataset, and gather the record."""
    search = _search(ready)
    truth = Truth(ready.known, lambda: _trials(ready, ready.truth, None, "whole"))
    small = _set(ready)
    if ready.command.proxy in proxy.UNTRAINED:
        truth.announce([str(spec) for spec in search.networks])
        untrained = _counted if ready.command.proxy in proxy.FREE else _scored
        cell, rows = untrained(ready, search)
    else:
        cell, rows = _tried(ready, small, search, truth)
    results = _results(ready, rows, truth, search, small)
    grid = search.strategy == "grid"
    return Record(
        kind="nas",
        version=facts.VERSION,
        label=ready.label,
        protocol=facts.Protocol(
            dataset=shared.dataset_used(ready.data),
            space=ready.comparison.space.name,
            networks=search.budget if grid else None,
            trials=None if grid else search.budget,
            truth=ready.truth.identity(),
        ),
        cell=cell,
        results=results,
        sets=[set_used(small)] if small else [],
        cost=cost(
            {
                "distill": round(small.made.seconds, 2) if small else 0.0,
                "trials": round(sum(s or 0.0 for s in results.seconds), 2),
            },
            ready.compute.device,
        ),
        provenance=provenance,
    )


def _search(ready: Ready) -> Search:
    """Which networks are tried."""
    command, comparison = ready.command, ready.comparison
    grid = command.strategy == "grid"
    return Search(
        strategy=command.strategy,
        networks=comparison.space.sample(comparison.networks) if grid else [],
        budget=comparison.networks if grid else command.trials or min(40, comparison.space.total),
        seed=command.seed,
    )


def _set(ready: Ready) -> SyntheticSet | None:
    """The proxy's images; None where it has none of its own."""
    if ready.plan is None:
        return None
    progress = Progress(sys.stderr)
    source = SetSource(ready.data.train, ready.compute, ready.command.out / "sets")
    with Workers(
        source,
        shape=source.real.shape,
        device=ready.compute.device,
        progress=progress,
        given=ready.command.workers,
    ) as processes:
        beforehand.make([(ready.plan, source.real.present)], source, processes)
    return source.distill(ready.plan, progress=progress)


def _counted(ready: Ready, search: Search) -> tuple[facts.Cell, Rows]:
    """The rows of a proxy that computes nothing."""
    rows = []
    for spec in search.networks:
        sizes = ready.comparison.space.sizes(spec)
        score = float(sizes[ready.proxy])
        row = {"network": str(spec), "accuracy": score, "looks": [], "seconds": None}
        rows.append(row | sizes)
    return facts.Cell(proxy=ready.proxy), rows


def _scored(ready: Ready, search: Search) -> tuple[facts.Cell, Rows]:
    """The rows of a proxy that trains nothing, but needs the networks."""
    real, seed = ready.data.train, ready.command.seed
    images = zero.batch(real, seed=seed, device=ready.compute.device)
    scored = zero.Scored(ready.proxy, images, seed, ready.compute)
    name, identity = f"{real.name}-{ready.proxy}", zero.identity(ready.truth, scored)
    ledger = Ledger(ready.command.out / "scores", name, identity)
    rows = zero.scores(
        scored,
        search.networks,
        space=ready.comparison.space,
        ledger=ledger,
        workers=ready.command.workers,
    )
    require_one(rows, ledger)
    scoring = facts.Scoring(version=zero.VERSION, images=len(images))
    return facts.Cell(proxy=ready.proxy, seed=seed, scoring=scoring), rows


def require_one(rows: Rows, ledger: Ledger) -> None:
    """Check that there is something to rank.

    Raises:
        Mistake: not one trial or score succeeded.
    """
    if all(row["accuracy"] is None for row in rows):
        raise Mistake(
            f"no trial succeeded ({rows[0]['reason']}); all are in {ledger.path}; choose other "
            "settings, or mend that"
        )


def _tried(
    ready: Ready, small: SyntheticSet | None, search: Search, truth: Truth
) -> tuple[facts.Cell, Rows]:
    """The rows of all trials on the proxy; a run of the ground truth itself is taken into it."""
    command = ready.command
    settings = proxy.proxy_settings(
        ready.truth,
        command.proxy,
        recipe=ready.comparison.recipe,
        seed=command.seed,
        images=command.ipc * len(ready.data.train.classes),
    )
    if small is not None:
        settings = proxy.saved(settings, small, command.out / "sets")
    trials = _trials(ready, settings, small, ready.proxy)
    trials.announce(search)
    if settings != ready.truth:
        truth.announce([str(spec) for spec in search.networks])
    rows = trials.run(search)
    require_one(rows, trials.ledger)
    if settings == ready.truth:
        truth.known |= {row["network"]: row["accuracy"] for row in rows}
    cell = facts.Cell(
        proxy=ready.proxy,
        making=making(ready.plan, seed=command.seed, sets=1) if ready.plan else None,
        recipe=settings.recipe,
        steps=trials.job.steps,
        strategy=search.strategy,
        together=ready.engine.together if search.strategy in LEARNING else 1,
        seed=command.seed,
    )
    return cell, rows


def _trials(ready: Ready, settings: TrialSettings, small: SyntheticSet | None, name: str) -> Trials:
    folder: Path = ready.command.out / "trials"
    return Trials(
        what=f"{name} trials",
        job=job(settings, ready.data, small),
        ledger=Ledger(folder, f"{ready.data.train.name}-{name}", settings.identity()),
        engine=ready.engine,
        space=ready.comparison.space,
        workers=ready.command.workers,
    )


def _results(
    ready: Ready, rows: Rows, truth: Truth, search: Search, small: SyntheticSet | None
) -> facts.Results:
    """Of the networks tried; a search compares only its first five with the whole dataset."""
    names = [row["network"] for row in rows]
    scores = [row["accuracy"] for row in rows]
    parameters = [row["parameters"] for row in rows]
    best = ranking.best_first(scores, parameters)
    wanted = names if search.strategy == "grid" else [names[i] for i in best[:5]]
    known = dict(zip(wanted, truth.of(wanted), strict=True))
    images, size = (0, 0)
    if small is not None:
        images, size = len(small.images), small.stored_bytes
    elif ready.command.proxy in proxy.REAL:
        images, size = len(ready.data.train), ready.data.train.images.numel()
    return facts.Results(
        names=names,
        scores=scores,
        truth=[known.get(name) for name in names],
        parameters=parameters,
        flops=[row["flops"] for row in rows],
        looks=[[(steps, accuracy) for steps, accuracy in row["looks"]] for row in rows],
        failed={row["network"]: row["reason"] for row in rows if row["accuracy"] is None},
        seconds=[row["seconds"] for row in rows],
        images=images,
        bytes=size,
    )
