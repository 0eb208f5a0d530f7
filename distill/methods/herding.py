"""Herding: real images whose mean follows the class mean (Rebuffi et al., iCaRL, CVPR 2017).

The features are those of random networks, as in DM, and not of a trained one: so a class's choice
depends on no other class and on no training recipe.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from distill import presets
from distill.images import ImageSet
from distill.mistake import Mistake
from distill.networks import build_many, parse
from distill.progress import Progress
from distill.seeding import generator
from distill.synthetic import SyntheticSet, made_by, require_ipc

REDRAWN = False


@dataclasses.dataclass(frozen=True)
class Config:
    """How images are described.

    Attributes:
        network: name of the random networks.
        networks: how many; their embeddings are put side by side.
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    networks: int = 4

    couples_classes = False


def preset(dataset: str, ipc: int, name: str) -> Config:
    """laptop: width 32. paper: width 128, the network of all published tables."""
    width = {"laptop": 32, "paper": 128}[presets.require(name)]
    return Config(network=f"convnet-d3-w{width}-instance-relu-avg")


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> SyntheticSet:
    """Choose `ipc` images of every class present, in herding order.

    Returns:
        Images [classes * ipc, C, H, W], ordered by class id, each class in herding order: the first
        images of a larger set are the smaller set.

    Raises:
        Mistake: ipc below 1 or above the smallest class, or an unknown network.
    """
    require_ipc(real, ipc)
    if config.networks < 1:
        raise Mistake(f"--method.networks {config.networks}: give 1 or more")
    spec = parse(config.network)
    streams = [generator(seed, "network", k) for k in range(config.networks)]
    networks = build_many(spec, real.shape, classes=len(real.classes), generators=streams)
    progress.start("herding classes", len(real.present))
    chosen = []
    for label in real.present:
        pixels = real.of_class(label)
        chosen.append(pixels[_order(_features(networks, real, pixels, device), ipc)])
        progress.advance()
    images = torch.cat(chosen).float() / 255
    labels = torch.tensor(real.present).repeat_interleave(ipc)
    return made_by("herding", real, ipc=ipc, config=config, seed=seed, images=images, labels=labels)


@torch.inference_mode()
def _features(networks: list, real: ImageSet, pixels: Tensor, device: torch.device) -> Tensor:
    """[n, D]: the embeddings of uint8 images, of length 1, as iCaRL has them."""
    parts = []
    for part in pixels.split(100):
        x = real.normalisation(part.to(device))
        embeddings = [F.normalize(net.to(device).layers(x)[1], dim=1) for net in networks]
        parts.append(torch.cat(embeddings, 1))
    return F.normalize(torch.cat(parts), dim=1)


def _order(features: Tensor, count: int) -> list[int]:
    """The first `count` of iCaRL's greedy order (its algorithm 4).

    The k-th image is the one that brings the mean of the k chosen nearest to the mean of all; no
    image is chosen twice.
    """
    mean = features.mean(0)
    total = torch.zeros_like(mean)
    taken = features.new_zeros(len(features))  # infinite for the chosen
    order: list[int] = []
    for k in range(1, count + 1):
        distance = (mean - (total + features) / k).square().sum(1) + taken
        order.append(int(distance.argmin()))
        taken[order[-1]] = torch.inf
        total += features[order[-1]]
    return order
