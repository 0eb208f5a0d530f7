"""There and back: the gradients of a mini-batch, in pieces that stay in a CPU's cache."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.networks import Network, couples_images, size
from distill.runtime.compute import CPU, FLOAT32, Compute
from distill.training.compiled import WORTH_COMPILING, fused
from distill.training.pieces import even, fitting
from distill.training.recipes import Recipe
from distill.training.stack import Grouped, Stack

AT_ONCE = {"cpu": 2**22, "cuda": 2**28}
"""How many numbers one layer's activations may have at a time in training (`pieces`)."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the mini-batch, summed over the networks, so that each learns as if alone.

    Args:
        logits: [K, B, classes]. labels: [K, B], or probabilities of the first classes [K, B, c];
            the others have none.
    """
    if labels.is_floating_point():
        labels = F.pad(labels, (0, logits.shape[-1] - labels.shape[-1]))
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1)) * len(logits)


Pass = Callable[[Network, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a network, images [B, C, H, W] and their labels to the loss [] and the logits [B, c]."""


def forward(network: Network, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The way there of some images: a `Pass`."""
    logits = network(images).float()
    return cross_entropy(logits[None], labels[None]), logits


def compiled(
    model: Stack | Grouped,
    images: Tensor,
    labels: Tensor,
    *,
    recipe: Recipe,
    steps: int,
    compute: Compute,
    say: Callable[[str], None],
) -> Pass:
    """The way there, fused with the way back where a training of so many steps is worth it.

    By the work of one network alone, so that its training rounds alike whatever else is trained.
    In float32 little is gained, and what norms with an eye on the whole batch have seen so far
    would be disturbed. Networks of small images, which pass together, are left as they are; so is
    all on a GPU, where a fused step took longer (17.0 ms for 14.9, five networks of width 128).

    Args:
        model: what is trained; its networks are of one specification.
        images, labels: of the whole training, as `train.training` takes them. steps: of it.
        say: is told in a line where there is no compiler.
    """
    network, always = model.networks[0], compute.compile == "always"
    if isinstance(model, Grouped) or couples_images(network.spec) or compute.compile == "never":
        return forward
    if (compute.precision == FLOAT32 or images.device.type != "cpu") and not always:
        return forward
    total, images = len(images), images[: recipe.batch]
    flops = size(network.spec, tuple(images.shape[1:]), network.head.out_features)[1]
    if 3 * flops * steps * len(images) < WORTH_COMPILING and not always:
        return forward
    if recipe.cutmix:
        labels = F.one_hot(labels, int(labels.max()) + 1).to(images)
    last = total % recipe.batch
    batches = [images, images[:last]] if last else [images]
    shapes = {len(part) for batch in batches for part in batch.split(_piece(network, batch))}

    def trial(forward: Pass) -> None:
        for count in sorted(shapes):
            some = torch.zeros_like(images[:count])
            with compute.autocast():
                loss, _ = forward(network, some, labels[:count])
            torch.autograd.grad(loss, list(network.parameters()))

    return fused(forward, trial, say)


def gradients(
    model: Stack | Grouped,
    images: Tensor,
    labels: Tensor,
    *,
    compute: Compute = CPU,
    forward: Pass = forward,
) -> tuple[Tensor, Tensor]:
    """Add a mini-batch's gradients to those of the model's parameters.

    Network by network, and in pieces that stay in a CPU's cache where that is the same: where the
    norm sees one image at a time. Each network's weights are converted once (`Compute.autocast`).

    Args:
        images: [K, B, C, H, W]. labels: as `cross_entropy` takes them.

    Returns:
        The loss [] summed over the networks, and the logits [K, B, classes], both detached.
    """
    if isinstance(model, Grouped):
        with compute.autocast():
            logits = model(images).float()
            loss = cross_entropy(logits, labels)
            loss.backward()
        return loss.detach(), logits.detach()
    total, rows = torch.zeros((), device=images.device), []
    for network, own, wanted in zip(model.networks, images, labels, strict=True):
        piece = _piece(network, own)
        with compute.autocast():
            for part, label in zip(own.split(piece), wanted.split(piece), strict=True):
                mean, logits = forward(network, part, label)
                loss = mean * (len(part) / len(own))
                loss.backward()
                total += loss.detach()
                rows.append(logits.detach())
    return total, torch.cat(rows).view(*images.shape[:2], -1)


def _piece(network: Network, images: Tensor) -> int:
    """How many of the images [B, C, H, W] pass through the network at a time."""
    if couples_images(network.spec):
        return len(images)
    numbers = network.spec.width * math.prod(images.shape[2:])
    return even(len(images), fitting(numbers, images.device.type, AT_ONCE))
