"""How a network is trained on a set, and the recipes that have a name.

Accuracies measured by different recipes say nothing of each other's sets: no table mixes two.
"""

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import nn

from distill.augment import OPERATIONS
from distill.presets import RECIPES
from distill.runtime.mistake import Mistake, short, unknown

if TYPE_CHECKING:
    from distill.images import About

SHORT = 300
"""Epochs of the recipe `short`."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are the field's evaluation recipe, `dm`.

    SGD on hard labels with DSA augmentation; the learning rate falls once, after half the epochs
    (published-code behaviour, without its one epoch too many).

    Attributes:
        epochs: passes over the images. batch: mini-batch size, of the images of one network.
        drop: factor on the learning rate in the second half.
        operations: of DSA; those that suit the dataset (`About.operations`), () for none.
        cutmix: the probability that a mini-batch is mixed by CutMix, after DSA; labels then are
            probabilities.
    """

    epochs: int = 1000
    rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    drop: float = 0.1
    operations: tuple[str, ...] = OPERATIONS
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        bounds = {
            "epochs": (0, 10**9),
            "rate": (1e-38, 1e38),
            "momentum": (0, 0.999999),
            "weight_decay": (0, 1e38),
            "batch": (1, 10**9),
            "drop": (0, 1e38),
            "cutmix": (0, 1),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:  # so is no comparison with NaN
                raise Mistake(
                    f"a recipe's {name.replace('_', ' ')} of {short(value)}: give {least:g} to "
                    f"{most:g}"
                )
        for name in self.operations:
            if name not in OPERATIONS:
                raise unknown("operation of a recipe", name, OPERATIONS)

    def rate_at(self, epoch: int) -> float:
        """The learning rate of `epoch`, counted from 0."""
        return self.rate if epoch < (self.epochs + 1) // 2 else self.rate * self.drop

    def batches(self, images: int) -> int:
        """Mini-batches in one pass over so many images."""
        return -(-images // self.batch)

    def optimiser(self, module: nn.Module) -> torch.optim.SGD:
        """SGD over all parameters of `module`."""
        return torch.optim.SGD(
            module.parameters(),
            self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            fused=True,
        )


def named(name: str, about: "About") -> Recipe:
    """The recipe of that name for a dataset, whose operations it keeps to.

    dm: the field's, from the released code of DC, DSA and DM: 1,000 epochs, batch 256, DSA.

    idc: after IDC (Kim et al., ICML 2022; released code for CIFAR-10): CutMix with probability
    0.5 and a share of area from Beta(1, 1), after the augmentation; mini-batches of 64; no cutout,
    since CutMix cuts; 1,000 epochs of SGD as in dm. It differs from theirs in two ways: a
    mini-batch gets one DSA operation (theirs: flip and colour always, and one of crop, scale and
    rotate), and the rate falls to a tenth at half (theirs: to a fifth at 2/3 and at 5/6). Accuracy
    is that after the last epoch (theirs: the best of several looks at the test images).

    short: dm with fewer epochs.

    dc: that of DC's released code: 300 epochs, and nothing augmented.

    Raises:
        Mistake: there is no such recipe.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return _named(name, about.operations)


def called(recipe: Recipe, *, without: Collection[str] = ()) -> str:
    """`idc`, if a recipe is exactly a named one; else the nearest and what differs: `dm, rate 0.1`.

    Args:
        without: operations of DSA that do not suit the dataset.
    """
    operations = tuple(name for name in OPERATIONS if name not in without)
    for name in RECIPES:
        if recipe == _named(name, operations):
            return name
    nearest = "idc" if recipe.cutmix else "dm" if recipe.operations or not operations else "dc"
    base = _named(nearest, operations)
    fields = (field.name for field in dataclasses.fields(Recipe))
    different = [name for name in fields if getattr(recipe, name) != getattr(base, name)]
    return ", ".join([nearest, *(_said(name, getattr(recipe, name)) for name in different)])


def _named(name: str, operations: tuple[str, ...]) -> Recipe:
    if name == "idc":
        uncut = tuple(operation for operation in operations if operation != "cutout")
        return Recipe(batch=64, cutmix=0.5, operations=uncut)
    if name == "dc":
        return Recipe(epochs=300, operations=())
    return Recipe(epochs=SHORT if name == "short" else 1000, operations=operations)


def _said(field: str, value: object) -> str:
    """A field of a recipe in words."""
    if field == "epochs":
        return f"{value} {'epoch' if value == 1 else 'epochs'}"
    if field == "operations":
        return f"DSA of {' '.join(value)}" if value else "no DSA"
    return f"{field.replace('_', ' ')} {value:g}"
