"""Real images chosen class by class, by their features in random networks.

The features are those of random networks, as in DM, and not of a trained one: so a class's choice
depends on no other class and on no training recipe.
"""

import dataclasses
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from distill import presets
from distill.images import About, ImageSet
from distill.networks import build_many, parse
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.settings import Settings, require

Rule = Callable[[Tensor, int], list[int]]
"""From the features [n, D] of a class to the places of the images chosen, so many, in order."""


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """How images are described.

    Attributes:
        network: name of the random networks.
        networks: how many; their embeddings are put side by side.
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    networks: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", str(parse(self.network)))  # one network, one name
        require(self, "networks", least=1, most=1000)


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32. paper: width 128, the network of all published tables."""
    width = {"laptop": 32, "paper": 128}[presets.require(name)]
    return Config(network=f"convnet-d{about.depth}-w{width}-instance-relu-avg")


def choose(
    rule: Rule,
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> Tensor:
    """The `ipc` images of every class present that `rule` chooses.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id, each class in the order of
        the rule.
    """
    spec = parse(config.network)
    streams = [generator(seed, "network", k) for k in range(config.networks)]
    networks = build_many(spec, real.shape, classes=len(real.classes), generators=streams)
    networks = [network.eval() for network in networks]  # no image may depend on its neighbours
    progress.start("selecting classes", len(real.present))
    chosen = []
    for label in real.present:
        pixels = real.of_class(label)
        order = rule(_features(networks, real, pixels, compute.device), ipc)
        chosen.append(pixels[order])
        progress.advance()
    return torch.stack(chosen).float() / 255


@torch.inference_mode()
def _features(networks: list, real: ImageSet, pixels: Tensor, device: torch.device) -> Tensor:
    """[n, D]: the embeddings of uint8 images, of length 1, as iCaRL has them."""
    parts = []
    for part in pixels.split(100):
        x = real.normalisation(part.to(device))
        embeddings = [F.normalize(net.to(device).layers(x)[1], dim=1) for net in networks]
        parts.append(torch.cat(embeddings, 1))
    return F.normalize(torch.cat(parts), dim=1)
