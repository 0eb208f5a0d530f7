"""What architectures are ranked on, and how they are trained there."""

import dataclasses
import sys
from pathlib import Path

from distill import presets
from distill.images import About, Data
from distill.runtime import registry
from distill.runtime.compute import Compute
from distill.runtime.mistake import Mistake, unknown
from distill.runtime.progress import Progress
from distill.sets import stored
from distill.synthetic import SyntheticSet
from distill.training import recipes
from distill.training.recipes import Recipe
from downstream.nas import source, zero
from downstream.nas.own import Own
from downstream.nas.space import WIDTHS, ConvNets, Space, count
from downstream.nas.trial import TrialSettings

METHODS = "distill.methods"
"""Each of them can make a proxy's images, under its own name."""
DISTILLED = "datadam"
"""The method of the proxy `distilled`, if no other is given."""
REAL = ("early-stopping", "whole")
"""Proxies that are the whole dataset."""
FREE = ("parameters", "flops")
"""Proxies that compute nothing: the larger network is ranked higher."""
UNTRAINED = (*FREE, *zero.SCORES)
"""Proxies that train nothing."""
SIZELESS = ("whole", *UNTRAINED)
"""Proxies of which no number of images can be chosen."""
USUAL_IPC = 10
"""Images a class of the others."""
STRATEGIES = ("grid", "random", "evolution", "tpe")
TRUTH_SEED = 0
"""Of the networks trained on the whole dataset: one ground truth for the proxies of all seeds."""


@dataclasses.dataclass(frozen=True)
class ProxyComparison:
    """What makes proxies comparable: the networks that they rank, and the trainings.

    Attributes:
        space: its networks. networks: how many of them are ranked.
        truth: how networks are trained on the whole dataset. recipe: on a proxy.
    """

    space: Space
    networks: int
    truth: Recipe
    recipe: Recipe

    def checked(self, classes: int, *, trials: int | None) -> "ProxyComparison":
        """The same for images of so many classes, which those of a user's folder say.

        A user's own networks are built, and passed there and back once: all of a list.

        Args:
            trials: of a search, of which it is not known what it will try: as many are looked at.

        Raises:
            Mistake: one cannot be built or trained, and why.
        """
        space = dataclasses.replace(self.space, classes=classes)
        if isinstance(space, Own):
            networks, progress = space.sample(trials or self.networks), Progress(sys.stderr)
            progress.start("networks looked at", len(networks))
            for spec in networks:
                space.size(spec)
                progress.advance(note=str(spec))
        return dataclasses.replace(self, space=space)


def names() -> list[str]:
    """The proxies there are."""
    return [*registry.names(METHODS), "distilled", *REAL, *UNTRAINED]


def method_of(proxy: str, method: str | None) -> str | None:
    """The method that makes a proxy's images; None for a proxy that has none of its own.

    Raises:
        Mistake: no such proxy or method, or a method with another proxy than `distilled`.
    """
    if proxy == stored.NAME:
        return proxy
    if proxy not in names():
        raise unknown("proxy", proxy, names())
    if proxy == "distilled":
        return registry.require(METHODS, DISTILLED if method is None else method)
    if method is not None:
        raise Mistake(f"--method {method} is for --proxy distilled, not for --proxy {proxy}")
    return None if proxy in (*REAL, *UNTRAINED) else proxy


def space_named(given: str, about: About) -> Space:
    """The space of that name, or of the user's file at that path, which is executed.

    Where it is the images that say how many classes there are, 2 are assumed until they are read.

    Raises:
        Mistake: no such space or file, or a file that holds no space of networks.
    """
    classes = len(about.classes or ()) or 2
    if source.is_file(given):
        own = Own(source.read(Path(given)), about.shape, classes)
        assert own.axes, "that it offers choices is found out here"
        return own
    if given not in WIDTHS:
        raise unknown("space", given, [*WIDTHS, "the path of a Python file (FILE.py)"])
    return ConvNets(given, about.shape, classes)


def preset(
    name: str,
    about: About,
    *,
    space: str | None = None,
    networks: str | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
) -> ProxyComparison:
    """The comparison that a preset stands for on a dataset, changed by what is not None.

    paper: the 720 networks of width 32 to 256, trained for 200 epochs on the proxy and on the whole
    dataset (the epochs of FTD's run of the same space; DataDAM's own are not published). At 50
    images a class of CIFAR-10 that is DataDAM's Table 5: Spearman 0.72 over all, 0.69 over the top
    20 %. Takes days on a GPU. laptop: widths 8 to 64, 64 networks; on small images 20 epochs on the
    whole dataset and 40 on a proxy, elsewhere 1 and 50. released stands for paper's comparison,
    formation for laptop's.

    Args:
        recipe: name of that on the proxy (`recipes.named`). epochs: of it; the truth keeps its own.

    Raises:
        Mistake: unknown preset, space or recipe, networks beyond the space, or epochs below 1.
    """
    usual_space = presets.protocol(name)
    paper = usual_space == "paper"
    networks_of = space_named(usual_space if space is None else space, about)
    if epochs is not None and epochs < 1:
        raise Mistake(f"--epochs {epochs} is no training; give 1 or more")
    usual = Recipe(operations=about.operations)
    if paper:
        truth = dataclasses.replace(usual, epochs=200)
    else:
        truth = dataclasses.replace(usual, epochs=20 if about.small else 1, batch=64)
    on_proxy = dataclasses.replace(truth, epochs=200 if paper else 40 if about.small else 50)
    if recipe is not None:
        on_proxy = recipes.named(recipe, about)
    most = networks_of.total
    usual_count = "all" if paper else str(min(64, most))
    return ProxyComparison(
        space=networks_of,
        networks=count(usual_count if networks is None else networks, networks_of.name, most),
        truth=truth,
        recipe=dataclasses.replace(on_proxy, epochs=epochs or on_proxy.epochs),
    )


def whole_settings(
    data: Data,
    *,
    dataset: str,
    image_size: int | None,
    root: Path,
    recipe: Recipe,
    compute: Compute,
    space: Space | None = None,
) -> TrialSettings:
    """How the ground truth is made: every network on all training images of `data`.

    Args:
        dataset, image_size, root: what `data` was loaded with.
        space: of the networks; those of ConvNets need no more than their names.
    """
    return TrialSettings(
        dataset=dataset,
        image_size=image_size,
        about=data.train.about.identity(),
        data_digest=data.digest(),
        normalisation=data.train.normalisation.describe(),
        set_digest=None,
        recipe=recipe,
        steps=None,
        looks=False,
        seed=TRUTH_SEED,
        data_root=str(root.absolute()),
        set_path=None,
        device=str(compute.device),
        threads=compute.threads,
        precision=compute.precision,
        deterministic=compute.deterministic,
        space=space.source if isinstance(space, Own) else None,
    )


def proxy_settings(
    truth: TrialSettings, proxy: str, *, recipe: Recipe, seed: int, images: int
) -> TrialSettings:
    """How networks are tried on a proxy of `images` images, given how the ground truth is made.

    The early-stopped whole dataset gets as many optimiser steps as such a proxy.
    """
    if proxy == "whole":
        return dataclasses.replace(truth, seed=seed)
    tried = dataclasses.replace(truth, recipe=recipe, looks=True, seed=seed)
    if proxy != "early-stopping":
        return tried
    return dataclasses.replace(tried, steps=recipe.epochs * recipe.batches(images))


def saved(settings: TrialSettings, proxy: SyntheticSet, folder: Path) -> TrialSettings:
    """The settings with the proxy's images, which are saved so that other processes find them.

    Raises:
        Mistake: `folder` cannot be written to.
    """
    digest = proxy.digest()
    path = folder / f"proxy-{digest}.safetensors"
    if not path.exists():
        proxy.save(path)
    return dataclasses.replace(settings, set_digest=digest, set_path=str(path.absolute()))
