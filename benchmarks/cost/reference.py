"""Matching and training in their published shape, kept to be measured and checked against.

Written as the formulas have it and as public code runs it: a fresh network whose parameters ask for
gradients, one pass over all real images with autograd's bookkeeping, cloned activations, general
powers; networks trained one by one. `distill.objectives.matching` must give the same loss and the
same gradient, and `distill.training.train` the same networks. Networks here have ReLU and average
pooling.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.architectures.convnet import ConvNet
from distill.augment import augment, draw
from distill.images import ImageSet
from distill.networks import build, parse
from distill.objectives.matching import Config
from distill.runtime.seeding import generator
from distill.training.recipes import Recipe
from distill.training.train import Batches, set_rate, streams


def loss(images: Tensor, real: ImageSet, config: Config, *, seed: int = 0, step: int = 0) -> Tensor:
    """DataDAM's loss over all classes for one random network, or DM's with a configuration of DM.

    Args:
        images: [G, ipc, C, H, W], the synthetic images of the G classes present, normalised.

    Returns:
        [], differentiable with respect to the images, in their precision.
    """
    assert config.formation == 1, "a published step knows no formation"
    stream = generator(seed, "network", step)
    network = build(parse(config.network), real.shape, classes=len(real.classes), generator=stream)
    network.to(images)
    operations = real.about.operations if config.augmented else ()
    batches, synthetic = [], []
    for c, label in enumerate(real.present):
        stream = generator(seed, "target", step, label)
        drawn = draw([stream], operations).to(images) if operations else None
        pixels = real.of_class(label)
        chosen = torch.randperm(len(pixels), generator=stream)[: config.real_batch]
        batch = real.normalisation(pixels[chosen]).to(images)
        for images_of, x in ((batches, batch), (synthetic, images[c])):
            images_of.append(augment(x[None], drawn)[0] if drawn else x)
    total = images.new_zeros(())
    theirs, ours = (terms(network, torch.cat(x), config) for x in (batches, synthetic))
    for (weight, a), (_, b) in zip(theirs, ours, strict=True):
        split = a.detach().split([len(x) for x in batches]), b.split([len(x) for x in synthetic])
        for of_real, of_ours in zip(*split, strict=True):
            total = total + weight * (of_real.mean(0) - of_ours.mean(0)).square().sum()
    return total


def terms(network: ConvNet, images: Tensor, config: Config) -> list[tuple[float, Tensor]]:
    """Weights and rows [B, D] of the terms of a method's loss."""
    maps, embedding = forward(network, images)
    if not hasattr(config, "power"):
        return [(1.0, embedding)]
    summed = [f.abs().pow(config.power).sum(1).flatten(1) for f in maps[:-1]]
    attention = [(config.weight, F.normalize(q, dim=1)) for q in summed]
    return [*attention, (config.weight * config.balance, embedding)]


def forward(network: ConvNet, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """The activations of every block, cloned as by a hook that stores them, and the embedding."""
    x, maps = images, []
    for convolution, norm in zip(network.convolutions, network.norms, strict=True):
        x = F.relu(norm(convolution(x)))
        maps.append(x.clone())
        x = F.avg_pool2d(x, 2)
    return maps, x.flatten(1)


def train(network: ConvNet, images: Tensor, labels: Tensor, *, recipe: Recipe, k: int) -> None:
    """Train the k-th network of a run of seed 0, alone; images [N, C, H, W] normalised."""
    optimiser = torch.optim.SGD(
        network.parameters(),
        recipe.rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    (stream,) = streams(0, k + 1)[k:]
    for epoch in range(recipe.epochs):
        set_rate(optimiser, recipe.rate_at(epoch))
        for x, y in Batches(images, labels, recipe=recipe, generators=[stream]):
            _, embedding = forward(network, x[0])
            loss = F.cross_entropy(network.head(embedding), y[0])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
