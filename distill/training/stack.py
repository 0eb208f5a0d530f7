"""Several networks side by side as one module, so that one backward pass trains them all."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.architectures.convnet import ConvNet
from distill.networks import Network

SMALL = 16
"""Images up to this size in pixels are stacked in grouped convolutions on a CPU.

Measured on one core (`python -m benchmarks.cost`): on 8x8 images a step of grouped networks is
faster, at 32x32 it is slower.
"""


class Stack(nn.Module):
    """K networks, one after the other: [K, B, C, H, W] to logits [K, B, classes]."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Network k sees images[k]."""
        return torch.stack([net(x) for net, x in zip(self.networks, images, strict=True)])


class Grouped(nn.Module):
    """K ConvNets of one specification as one network of grouped convolutions: the same function.

    It costs the overhead of one network instead of K's. Its parameters are those of all networks
    laid side by side, and the networks' own become views of them: to train it is to train them.
    """

    def __init__(self, networks: Sequence[ConvNet]) -> None:
        """The networks must be on their device already."""
        super().__init__()
        self.networks = tuple(networks)  # a tuple, so that their parameters are not counted twice
        self.convolutions = self._merged([n.convolutions for n in networks])
        self.norms = self._merged([n.norms for n in networks])
        (self.head,) = self._merged([[n.head] for n in networks])

    @staticmethod
    def _merged(columns: Sequence[Sequence[nn.Module]]) -> nn.ModuleList:
        return nn.ModuleList(_Merged(layers) for layers in zip(*columns, strict=True))

    def forward(self, images: Tensor) -> Tensor:
        """Network k sees images[k]."""
        first, count = self.networks[0], len(self.networks)
        x = images.transpose(0, 1).flatten(1, 2)
        for convolution, norm, pooling in zip(
            self.convolutions, self.norms, first.poolings, strict=True
        ):
            weight, bias = convolution.weight.flatten(0, 1), convolution.bias.flatten()
            x = F.conv2d(x, weight, bias, padding=1, groups=count)
            x = pooling(first.activation(self._normalised(x, norm)))
        rows = x.unflatten(1, (count, -1)).flatten(2).transpose(0, 1)
        return torch.baddbmm(self.head.bias[:, None], rows, self.head.weight.transpose(1, 2))

    def _normalised(self, x: Tensor, norm: "_Merged") -> Tensor:
        """x [B, K * width, H, W]; the norm of every network on its own channels."""
        kind, count = self.networks[0].spec.norm, len(self.networks)
        if kind == "none":
            return x
        weight, bias = norm.weight, norm.bias
        if kind == "batch":
            if self.training:
                norm.num_batches_tracked.add_(1)
            mean, variance = norm.running_mean.flatten(), norm.running_var.flatten()
            return F.batch_norm(x, mean, variance, weight.flatten(), bias.flatten(), self.training)
        if kind == "layer":
            apart = x.unflatten(1, (count, -1))
            apart = F.layer_norm(apart, apart.shape[2:])
            return torch.addcmul(bias, apart, weight).flatten(1, 2)
        groups = self.networks[0].norms[0].num_groups
        return F.group_norm(x, count * groups, weight.flatten(), bias.flatten())


class _Merged(nn.Module):
    """The parameters and buffers of K equal layers, [K, ...] each; the layers' become views."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        for name, _ in layers[0].named_parameters(recurse=False):
            self.register_parameter(name, nn.Parameter(self._views(layers, name)))
        for name, _ in layers[0].named_buffers(recurse=False):
            self.register_buffer(name, self._views(layers, name))

    @staticmethod
    def _views(layers: Sequence[nn.Module], name: str) -> Tensor:
        whole = torch.stack([getattr(layer, name).detach() for layer in layers])
        for layer, part in zip(layers, whole.unbind(), strict=True):
            getattr(layer, name).data = part
        return whole


def stack(networks: Sequence[Network], shape: Sequence[int]) -> Stack | Grouped:
    """The faster of the two ways for images of `shape` (..., H, W), on the networks' device."""
    equal = len({network.spec for network in networks}) == 1
    if len(networks) > 1 and equal and groups(networks[0], shape):
        return Grouped(networks)
    return Stack(networks)


def groups(network: Network, shape: Sequence[int]) -> bool:
    """Whether several of the kind are faster as `Grouped`, for images of `shape` (..., H, W)."""
    device = network.head.weight.device
    return isinstance(network, ConvNet) and device.type == "cpu" and max(shape[-2:]) <= SMALL
