"""A published accuracy beside ours: found by its protocol, judged by a stated rule."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks import evidence, reported
from benchmarks.evidence import Estimate
from benchmarks.record import Dataset, Making
from benchmarks.reported import Reported
from distill.augment import OPERATIONS
from distill.networks import parse
from distill.train import Recipe

NOTE = """\
reported: the published figure of the same protocol (network, norm, ZCA, epochs, recipe), where
there is one. verdict: agrees, if the whole interval lies within 1 point of it; above or below, if
it lies wholly outside; else undecided, and how many units would decide. others got: figures of
others for the same cell, whatever their protocol.
"""


def recipe_name(recipe: Recipe) -> str | None:
    """What `reported.csv` calls a recipe: `dm`, whatever its epochs; None for any other."""
    published = dataclasses.replace(recipe, epochs=Recipe().epochs, operations=OPERATIONS)
    return "dm" if published == Recipe() else None


def columns(
    rows: Sequence[Reported],
    estimate: Estimate,
    *,
    experiment: str,
    dataset: Dataset,
    making: Making,
    network: str,
    recipe: Recipe,
    zca: bool,
    **where: Any,
) -> dict[str, Any]:
    """The columns reported, verdict and others got of one row; None where there is nothing.

    Args:
        rows: of `reported.read`; all of them are of test images, so none stands beside a run that
            was judged on others.
        where: steps, strategy and classes of a class-incremental run.
    """
    norm = parse(network).norm
    published = reported.published(
        rows if dataset.judged_on == "test" else (),
        experiment=experiment,
        dataset=dataset.name,
        ipc=making.ipc,
        method=making.method,
        metric="accuracy",
        network=network,
        norm=norm,
        zca=zca,
        epochs=recipe.epochs,
        recipe=recipe_name(recipe),
        factor=making.config.get("formation", 1),
        labels="hard",
        **where,
    )
    if published is None:
        return {"reported": None, "verdict": None, "others got": None}
    beside = reported.others(rows, published)
    deviation = "" if published.std is None else f" ± {published.std:g}"
    return {
        "reported": f"{published.value:g}{deviation}",
        "verdict": evidence.verdict(estimate, published.value, margin=evidence.ACCURACY_MARGIN),
        "others got": ", ".join(f"{row.value:g}" for row in beside) or None,
    }
