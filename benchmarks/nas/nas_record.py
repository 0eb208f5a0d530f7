"""What a record of architecture search holds."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.runtime.mistake import Mistake
from downstream import ranking
from downstream.nas.search import Search, Trials
from downstream.nas.truth import Truth

if TYPE_CHECKING:
    from benchmarks.nas import Ready


def protocol_of(ready: "Ready", search: Search) -> dict[str, Any]:
    """What rows of one table share."""
    found = {
        "dataset": ready.data.train.name,
        "space": search.space,
        "networks": ready.protocol.networks,
        "truth": ready.truth.key(),
    }
    if search.strategy != "grid":
        found |= {"networks": None, "trials": search.budget}
    return found


def cell_of(ready: "Ready", trials: Trials) -> dict[str, Any]:
    """What sets a row apart."""
    command = ready.command
    return {
        "method": ready.method or command.proxy,
        "ipc": None if ready.method is None else command.ipc,
        "preset": command.preset,
        "variant": ready.variant,
        "config": ready.config and dataclasses.asdict(ready.config),
        "recipe": dataclasses.asdict(trials.job.settings.recipe),
        "steps": trials.job.steps,
        "strategy": command.strategy,
        "seed": command.seed,
    }


def metrics_of(
    rows: Sequence[dict[str, Any]], truth: Truth, search: Search, ledger: Path
) -> dict[str, Any]:
    """Of the networks tried; a search compares only its first five with the whole dataset.

    Raises:
        Mistake: no trial succeeded.
    """
    names = [row["network"] for row in rows]
    accuracies = [row["accuracy"] for row in rows]
    parameters = [row["parameters"] for row in rows]
    best = ranking.best_first(accuracies, parameters)
    if not best:
        raise Mistake(f"no trial succeeded: {rows[0]['reason']}; all are in {ledger}")
    wanted = names if search.strategy == "grid" else [names[i] for i in best[:5]]
    known = dict(zip(wanted, truth.of(wanted), strict=True))
    found = ranking.compare(accuracies, [known.get(name) for name in names], parameters)
    chosen = rows[found["chosen"]]
    return found | {
        "chosen": chosen["network"],
        "chosen_parameters": chosen["parameters"],
        "chosen_flops": chosen["flops"],
        "failed": {row["network"]: row["reason"] for row in rows if row["accuracy"] is None},
        "growth": ranking.growth([row["looks"] for row in rows], [known.get(n) for n in names]),
        "names": names,
        "accuracies": accuracies,
        "truth": [known.get(name) for name in names],
    }
