"""What architectures are ranked on, and how they are trained there."""

import dataclasses
from pathlib import Path

import torch

from distill import presets, registry
from distill.images import Data, digest
from distill.mistake import Mistake, unknown
from distill.synthetic import SyntheticSet
from distill.train import Recipe
from downstream.space import WIDTHS, count
from downstream.trial import Settings, data_digest

SELECTED = ("random", "herding", "kcenter")
"""Proxies that are methods of that name, where there is a file for it."""
REAL = ("early-stopping", "whole")
"""Proxies that are the whole dataset."""
STRATEGIES = ("grid", "random", "evolution", "tpe")
TRUTH_SEED = 0
"""Of the networks trained on the whole dataset: one ground truth for the proxies of all seeds."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One comparison of proxies.

    Attributes:
        space: of `downstream.space`. networks: how many of it are ranked.
        truth: how networks are trained on the whole dataset. recipe: on a proxy.
    """

    space: str
    networks: int
    truth: Recipe
    recipe: Recipe


def names() -> list[str]:
    """The proxies there are."""
    there = registry.names("methods")
    return [*(name for name in SELECTED if name in there), "distilled", *REAL]


def method_of(proxy: str, method: str | None) -> str | None:
    """The method that makes a proxy's images; None for the whole dataset.

    Raises:
        Mistake: no such proxy or method, or a method with another proxy than `distilled`.
    """
    if proxy not in names():
        raise unknown("proxy", proxy, names())
    if proxy == "distilled":
        return registry.require("methods", method or "datadam")
    if method is not None:
        raise Mistake(f"--method {method} is for --proxy distilled, not for --proxy {proxy}")
    return None if proxy in REAL else proxy


def preset(
    name: str,
    *,
    dataset: str,
    space: str | None = None,
    networks: str | None = None,
    epochs: int | None = None,
) -> Protocol:
    """The protocol that a preset stands for, changed by what is not None.

    paper: the 720 networks of width 32 to 256, trained for 200 epochs on the proxy and on the whole
    dataset (the epochs of FTD's run of the same space; DataDAM's own are not published); with
    --dataset cifar10 --ipc 50 its Table 5: Spearman 0.72 over all, 0.69 over the top 20 %. Takes
    days on a GPU. laptop: widths 8 to 64, 64 networks; on digits 20 epochs on the whole dataset and
    40 on a proxy, elsewhere 1 and 50.

    Raises:
        Mistake: unknown preset or space, networks beyond the space, or epochs below 1.
    """
    paper = presets.require(name) == "paper"
    space = space or name
    if space not in WIDTHS:
        raise unknown("space", space, WIDTHS)
    if epochs is not None and epochs < 1:
        raise Mistake(f"--epochs {epochs} is no training; give 1 or more")
    digits = dataset == "digits"
    truth = Recipe(epochs=200) if paper else Recipe(epochs=20 if digits else 1, batch=64)
    usual = 200 if paper else 40 if digits else 50
    return Protocol(
        space=space,
        networks=count(networks or ("all" if paper else "64"), space),
        truth=truth,
        recipe=dataclasses.replace(truth, epochs=epochs or usual),
    )


def whole_settings(
    data: Data,
    *,
    dataset: str,
    image_size: int | None,
    root: Path,
    recipe: Recipe,
    device: torch.device,
) -> Settings:
    """How the ground truth is made: every network on all training images of `data`.

    Args:
        dataset, image_size, root: what `data` was loaded with.
    """
    return Settings(
        dataset=dataset,
        image_size=image_size,
        data_digest=data_digest(data),
        normalisation=data.train.normalisation.describe(),
        set_digest=None,
        recipe=recipe,
        steps=None,
        looks=False,
        seed=TRUTH_SEED,
        data_root=str(root.absolute()),
        set_path=None,
        device=str(device),
        threads=torch.get_num_threads(),
    )


def proxy_settings(
    truth: Settings, proxy: str, *, recipe: Recipe, seed: int, images: int
) -> Settings:
    """How networks are tried on a proxy of `images` images, given how the ground truth is made.

    The early-stopped whole dataset gets as many optimiser steps as such a proxy.
    """
    if proxy == "whole":
        return dataclasses.replace(truth, seed=seed)
    tried = dataclasses.replace(truth, recipe=recipe, looks=True, seed=seed)
    if proxy != "early-stopping":
        return tried
    return dataclasses.replace(tried, steps=recipe.epochs * recipe.batches(images))


def saved(settings: Settings, made: SyntheticSet, folder: Path) -> Settings:
    """The settings with the proxy's images, which are saved so that other processes find them.

    Raises:
        Mistake: `folder` cannot be written to.
    """
    found = digest(made.images, made.labels)[:12]
    path = folder / f"proxy-{found}.safetensors"
    if not path.exists():
        made.save(path)
    return dataclasses.replace(settings, set_digest=found, set_path=str(path.absolute()))
