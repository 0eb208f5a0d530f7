"""What a class-incremental run is: its steps, orders, networks and training."""

import dataclasses

import numpy as np

from distill import presets
from distill.mistake import Mistake, unknown
from distill.train import Recipe

STRATEGIES = ("retrain", "replay")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One class-incremental protocol.

    Attributes:
        steps: how many; the classes are spread over them as evenly as can be, every class once.
        orders: class orders, from `class_order(0..orders-1)`.
        strategy: `retrain` trains fresh networks at every step on the memory alone (the published
            protocol, GDumb's); `replay` goes on with the same networks on the step's real images,
            with as many from the memory in every mini-batch.
        networks: trained side by side for each order.
        network: their name.
        recipe: of the training at each step. For replay, epochs are passes over the real images.
        seed: of the networks, the mini-batches and the buffers.
    """

    steps: int
    orders: int
    strategy: str
    networks: int
    network: str
    recipe: Recipe
    seed: int


def preset(
    name: str, *, dataset: str, steps: int, orders: int, strategy: str, seed: int
) -> Protocol:
    """The protocol that a preset stands for.

    paper, retrain: the DM protocol that DataDAM follows (ConvNet-3 of width 128, 1000 epochs, 3
    networks an order; with --dataset cifar100 --ipc 20 its Figure 5: 39.8 % after 5 steps). paper,
    replay: the same network, 20 passes; nothing is published. laptop: width 32; retrain 200 epochs;
    replay one network an order, one pass, at a learning rate of 0.05, since so few steps at 0.01
    learn little (seen with the random buffer). On digits the laptop affords more: 300 epochs; three
    networks, 20 passes.

    Raises:
        Mistake: unknown preset or strategy, or orders below 1.
    """
    presets.require(name)
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES)
    if orders < 1:
        raise Mistake(f"--orders {orders} is no run; give 1 or more")
    paper = name == "paper"
    ample = paper or dataset == "digits"
    if strategy == "retrain":
        networks, recipe = 3, Recipe(epochs=1000 if paper else 300 if ample else 200)
    else:
        networks = 3 if ample else 1
        recipe = Recipe(
            epochs=20 if ample else 1,
            rate=0.01 if paper else 0.05,
            batch=32 if dataset == "digits" else 64,
            drop=1.0,
        )
    return Protocol(
        steps=steps,
        orders=orders,
        strategy=strategy,
        networks=networks,
        network=f"convnet-d3-w{128 if paper else 32}-instance-relu-avg",
        recipe=recipe,
        seed=seed,
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
