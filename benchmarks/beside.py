"""A published accuracy beside ours: found by its protocol, judged by a stated rule."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks import evidence, reported
from benchmarks.evidence import Estimate
from benchmarks.reported import Reported
from benchmarks.schema import Dataset, Making
from distill.augment import OPERATIONS
from distill.networks import parse
from distill.training.recipes import Recipe

NOTE = """\
reported: the published figure of the method at so many images a class, where what is published of
its protocol does not contradict this one. verdict: only where the published protocol (network,
norm, ZCA, epochs, recipe) is stated whole and is this one, and the method has its published
settings, learned in instance norm: agrees, if the whole interval lies within 1 point of it; above
or below, if it lies wholly outside; else undecided, and how many sets would decide. others got:
figures of others for the same cell, whatever their protocol.
"""
STATED = ("network", "norm", "zca", "epochs", "recipe")
"""What a published figure must state for a verdict."""


def recipe_name(recipe: Recipe) -> str | None:
    """What `reported.csv` calls a recipe, whatever its epochs: `dm`, `dc`; None for any other."""
    published = dataclasses.replace(recipe, epochs=Recipe().epochs, operations=OPERATIONS)
    if published != Recipe():
        return None
    return "dm" if recipe.operations else "dc"


def columns(
    rows: Sequence[Reported],
    estimate: Estimate,
    *,
    experiment: str,
    dataset: Dataset,
    making: Making,
    label: str,
    network: str,
    recipe: Recipe,
    zca: bool,
    **where: Any,
) -> dict[str, Any]:
    """The columns reported, verdict and others got of one row; None where there is nothing.

    Args:
        rows: of `reported.read`; all of them are of test images, and those of our methods of
            training without CutMix, so none stands beside a run that was judged otherwise.
        label: of the record.
        where: steps, strategy and classes of a class-incremental run.
    """
    norm = parse(network).norm
    published = reported.published(
        rows if dataset.judged_on == "test" and not recipe.cutmix else (),
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
    own_network = not network.startswith("convnet") or network.endswith("-relu-avg")
    if published is None or not own_network:
        return {"reported": None, "verdict": None, "others got": None}
    deviation = "" if published.std is None else f" ± {published.std:g}"
    return {
        "reported": f"{published.value:g}{deviation}",
        "verdict": _verdict(estimate, published, making, label),
        "others got": ", ".join(f"{r.value:g}" for r in reported.others(rows, published)) or None,
    }


def _verdict(estimate: Estimate, published: Reported, making: Making, label: str) -> str | None:
    """The verdict of a row; None where it would compare two different things."""
    as_published = not making.config or label.split()[1:] == ["paper"]
    if not as_published or any(getattr(published, name) is None for name in STATED):
        return None
    if published.norm != "instance":  # so had the networks in which the published set was learned
        return None
    if "sets" not in estimate.levels:
        return "undecided; one set"
    return evidence.verdict(estimate, published.value, margin=evidence.ACCURACY_MARGIN)
