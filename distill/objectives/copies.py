"""One network side by side with itself, so that each class has gradients of its own."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill.networks import Spec, build, initialise
from distill.runtime.seeding import generator
from distill.training.pieces import AT_ONCE, TOGETHER, fitting
from distill.training.stack import Stack, groups, stack


class Copies:
    """A random network, and equal ones beside it where that is faster.

    Only weights with two axes or more have a gradient for each output unit; biases and the scales
    of norms are left out (but for a layer norm's, which have three), as in the released code.
    Nothing of it is compiled: torch.compile differentiates once.

    Attributes:
        network: the one that is drawn and may be trained.
        together: how many classes pass side by side.
    """

    def __init__(
        self,
        spec: Spec,
        shape: tuple[int, int, int],
        *,
        classes: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """It has no weights of any meaning yet."""

        def one() -> nn.Module:
            network = build(spec, shape, classes=classes, generator=generator(0, "no network yet"))
            return network.to(device, dtype)

        self.device, self.dtype = device, dtype
        self.network = one()
        self.together = TOGETHER if groups(self.network, shape) else 1
        others = [one() for _ in range(self.together - 1)]
        self.beside = stack([self.network, *others], shape)
        self.alone = Stack([self.network])
        self.numbers = spec.width * math.prod(shape[1:])  # of one image's largest activation

    def most(self, classes: int) -> int:
        """How many images of each of so many classes may pass at a time."""
        return fitting(self.numbers * classes, self.device.type, AT_ONCE)

    def settle(self, seed: int, number: int) -> None:
        """Take the weights of the random network of that number, which depend on nothing else."""
        initialise(self.network, generator=generator(seed, "network", number))
        self.spread()

    @torch.no_grad()
    def spread(self) -> None:
        """Give the other copies the weights of the network."""
        if self.together > 1:
            for weight in self.beside.parameters():
                weight[1:] = weight[0]

    def gradients(
        self, images: Tensor, labels: Sequence[int], *, count: int, twice: bool = False
    ) -> list[Tensor]:
        """Of the loss of each class, with respect to its copy's weights: [G, units, D] a layer.

        Args:
            images: [G, B, C, H, W], of one class or of `together`. labels: of these classes.
            count: images of each class in all, over which the loss is a mean; these are a part.
            twice: keep what is needed to differentiate again.
        """
        model = self.beside if len(images) > 1 else self.alone
        first = 1 if len(images) > 1 else 0  # the copies' weights are one tensor, copy by copy
        weights = [weight for weight in model.parameters() if weight.ndim > 1 + first]
        wanted = torch.tensor(labels, device=images.device).repeat_interleave(images.shape[1])
        # Attention has one implementation that can be differentiated twice.
        with sdpa_kernel(SDPBackend.MATH):
            logits = model(images).to(self.dtype)
        loss = F.cross_entropy(logits.flatten(0, 1), wanted, reduction="sum") / count
        gradients = torch.autograd.grad(loss, weights, create_graph=twice)
        return [
            own.reshape(len(images), weight.shape[first], -1)
            for own, weight in zip(gradients, weights, strict=True)
        ]
