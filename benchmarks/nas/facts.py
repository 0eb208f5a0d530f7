"""What a record of architecture search holds."""

from typing import Any

from benchmarks import schema
from benchmarks.schema import Dataset, Making, facts
from distill.training.recipes import Recipe
from downstream.nas.trial import VERSION as TODAY
from downstream.nas.zero import VERSION as SCORES_TODAY

VERSION = 1


@facts
class Protocol:
    """What rows of one table share: a ranking of one sample, or searches of one budget.

    Attributes:
        space: `laptop` or `paper`, or a user's own: its file's name and its digest's beginning.
        networks: how many of its fixed sample are ranked; None for a search.
        trials: how many networks a search tries; None for a ranking.
        truth: identity of the trials on the whole dataset (`trial.TrialSettings.identity`).
    """

    dataset: Dataset
    space: str
    networks: int | None = None
    trials: int | None = None
    truth: dict[str, Any]


@facts
class Scoring:
    """How a score without training is made: the file of `downstream.nas.zero`.

    Attributes:
        version: its VERSION. images: real training images in the mini-batch, where it has one.
    """

    version: int
    images: int


@facts
class Cell:
    """What sets a row apart.

    Attributes:
        proxy: a method's name, `early-stopping`, `whole`, or one that trains nothing.
        making: how the proxy's images are made; None for a proxy that has none of its own.
        recipe, steps: of a trial, and its optimiser steps; None for a proxy that trains nothing.
        strategy: `grid` for a ranking.
        together: trials under way at once, for a strategy that learns from those that are over.
        seed: of the proxy's images and of the trials, or of the scores' weights and images.
        scoring: of `synflow` and `jacob_cov`; None for the others.
    """

    proxy: str
    making: Making | None = None
    recipe: Recipe | None = None
    steps: int | None = None
    strategy: str = "grid"
    together: int = 1
    seed: int = 0
    scoring: Scoring | None = None


@facts
class Results:
    """Of each network tried, in the order tried.

    Attributes:
        names: of the networks.
        scores: what the proxy ranks them by: test accuracy in percent, None where the trial failed;
            the count itself for the proxies `parameters` and `flops`; the score for `synflow` and
            `jacob_cov`, None where it is not finite.
        truth: test accuracy in percent after training on the whole dataset; None where that failed
            or, after a search, where the network is not among the proxy's best five.
        parameters, flops: of each network.
        looks: (steps, test accuracy in percent) on the way and at the end.
        failed: why, by name.
        seconds: wall clock of each trial; None where none took place.
        images, bytes: that the proxy stores.
    """

    names: list[str]
    scores: list[float | None]
    truth: list[float | None]
    parameters: list[int]
    flops: list[int]
    looks: list[list[tuple[int, float]]]
    failed: dict[str, str]
    seconds: list[float | None]
    images: int
    bytes: int


def name(protocol: Protocol, cell: Cell) -> str:
    """`digits-datadam-ipc10`, and the strategy and the seed if not the usual."""
    parts = [protocol.dataset.name, cell.proxy]
    parts += [] if cell.making is None else [f"ipc{cell.making.ipc}"]
    parts += [] if cell.strategy == "grid" else [cell.strategy]
    parts += [] if cell.together == 1 else [f"{cell.together}together"]
    parts += [] if cell.seed == 0 else [f"seed{cell.seed}"]
    return "-".join(parts)


def versions(protocol: Protocol, cell: Cell) -> schema.Versions:
    """What a record was made with."""
    own = [("the protocol of trials", protocol.truth["version"], TODAY)]
    if cell.scoring is not None:
        own.append((f"the score {cell.proxy}", cell.scoring.version, SCORES_TODAY))
    return [*schema.versions(cell.making, protocol.dataset), *own]
