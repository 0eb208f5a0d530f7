"""What a class-incremental run is: its steps, orders, sets, networks and training."""

import dataclasses

import numpy as np

from distill import presets
from distill.images import About
from distill.runtime.mistake import Mistake, unknown
from distill.training import recipes
from distill.training.recipes import Recipe

VERSION = 1
"""Raised when the same protocol comes to give other figures."""

STRATEGIES = ("retrain", "replay")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One class-incremental protocol.

    Attributes:
        steps: how many; the classes are spread over them as evenly as can be, every class once.
        strategy: `retrain` trains fresh networks at every step on the memory alone (the published
            protocol, GDumb's); `replay` goes on with the same networks on the step's real images,
            with as many from the memory in every mini-batch.
        network: name of the networks.
        networks: trained side by side for each order.
        recipe: of the training at each step. For replay, epochs are passes over the real images.
        seed: of the networks, the mini-batches and the buffers.
        orders: class orders, from `class_order(0..orders-1)`.
        sets: distilled sets; order o has set number o mod sets (`set_number`).
    """

    steps: int
    strategy: str
    network: str
    networks: int
    recipe: Recipe
    seed: int
    orders: int
    sets: int

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise unknown("strategy", self.strategy, STRATEGIES)
        if self.orders < 1:
            raise Mistake(f"--orders {self.orders} is no run; give 1 or more")
        if self.networks < 1:
            raise Mistake(f"--networks {self.networks} is no run; give 1 or more")
        if not 1 <= self.sets <= self.orders:
            raise Mistake(
                f"--sets {self.sets} cannot be spread over the {self.orders} orders of --orders; "
                f"give 1 to {self.orders}"
            )

    def set_number(self, order: int) -> int:
        """Which of the sets the class order number `order` is run with."""
        return order % self.sets


def preset(
    name: str,
    about: About,
    *,
    steps: int,
    strategy: str,
    seed: int,
    orders: int = 5,
    sets: int | None = None,
    networks: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
) -> Protocol:
    """The protocol that a preset stands for.

    paper, retrain: the DM protocol that DataDAM follows (ConvNet-3 of width 128, 1000 epochs, 3
    networks and a set for each order; with --dataset cifar100 --ipc 20 its Figure 5: 39.8 % after 5
    steps). paper, replay: the same network, 20 passes; nothing is published. laptop: width 32 and 3
    sets; retrain 200 epochs; replay one network an order, one pass, at a learning rate of 0.05,
    since so few steps at 0.01 learn little (seen with the random buffer). Small images afford more
    on a laptop: 5 sets; 300 epochs; three networks, 20 passes. released stands for paper's
    protocol, formation for laptop's.

    Args:
        sets: the preset's if None, and no more than there are orders.
        networks: trained for each order; the preset's if None.
        recipe: name of that of `retrain` (`recipes.named`), instead of the preset's.
        epochs: of the training at each step, instead of the recipe's.

    Raises:
        Mistake: unknown preset, strategy or recipe, orders, networks or epochs below 1, sets below
            1 or above the orders, or a recipe for `replay`.
    """
    paper = presets.protocol(name) == "paper"
    ample = paper or about.small
    usual_sets = orders if paper else 5 if about.small else 3
    usual_networks = 3 if ample or strategy == "retrain" else 1
    return Protocol(
        steps=steps,
        strategy=strategy,
        network=f"convnet-d{about.depth}-w{128 if paper else 32}-instance-relu-avg",
        networks=usual_networks if networks is None else networks,
        recipe=_recipe(about, strategy, recipe, epochs, paper=paper),
        seed=seed,
        orders=orders,
        sets=max(1, min(usual_sets, orders)) if sets is None else sets,
    )


def _recipe(
    about: About, strategy: str, named: str | None, epochs: int | None, *, paper: bool
) -> Recipe:
    """The one that is named, else the preset's; its epochs may be given."""
    if epochs is not None and epochs < 1:
        raise Mistake(f"--epochs {epochs} is no training; give 1 or more")
    if named is None:
        recipe = _usual(about, strategy, paper=paper)
    elif strategy == "replay":
        raise Mistake(
            f"--recipe {named} is for --strategy retrain, which trains on the memory alone; "
            "replay keeps the preset's, of which --epochs can be given"
        )
    else:
        recipe = recipes.named(named, about)
    return dataclasses.replace(recipe, epochs=epochs or recipe.epochs)


def _usual(about: About, strategy: str, *, paper: bool) -> Recipe:
    """Of a preset."""
    if strategy == "retrain":
        epochs = 1000 if paper else 300 if about.small else 200
        return Recipe(epochs=epochs, operations=about.operations)
    return Recipe(
        epochs=20 if paper or about.small else 1,
        rate=0.01 if paper else 0.05,
        batch=32 if about.small else 64,
        drop=1.0,
        operations=about.operations,
    )


def class_order(order: int, classes: int) -> list[int]:
    """The published class orders: numpy's permutation with the order's number as the seed."""
    return np.random.RandomState(order).permutation(classes).tolist()


def step_sizes(classes: int, steps: int) -> list[int]:
    """How many classes come at each step; they differ by one at most and cover all.

    Raises:
        Mistake: steps below 1 or above the number of classes.
    """
    if not 1 <= steps <= classes:
        raise Mistake(f"--steps {steps} cannot be had with {classes} classes; give 1 to {classes}")
    return [classes // steps + (i < classes % steps) for i in range(steps)]
