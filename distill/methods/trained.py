"""DM's class means, and a cross-entropy, in networks that were trained a little on the real images.

The idea is that of IDM (Zhao et al., "Improved Distribution Matching for Dataset Condensation",
CVPR 2023) and DANCE (Zhang et al., IJCAI 2024): networks that have begun to tell classes apart say
more of an image than random ones, and a synthetic image is to be taken for its class besides
looking like it on average. Networks and settings are our own: see `distill.objectives.bank` and
`preset`.
"""

import dataclasses
import functools

from torch import Tensor

from distill import presets
from distill.images import About
from distill.methods.dm import embedding
from distill.networks import Network
from distill.objectives import matching
from distill.objectives.matching import match_told
from distill.objectives.members import Vectors
from distill.runtime.mistake import Mistake
from distill.settings import require

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(matching.Config):
    """What it is told besides.

    Attributes:
        cross_entropy: the weight of the synthetic images' mean cross-entropy, class by class,
            beside the squared distance of the class means; 0 is DM in trained networks.
    """

    networks: int = 64
    trained: float = 2.0
    cross_entropy: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "cross_entropy", least=0)
        if self.cross_entropy and not self.trained:
            raise Mistake(
                f"--method.cross-entropy {self.cross_entropy:g} in random networks says nothing of "
                "a class; give --method.trained above 0, or --method.cross-entropy 0"
            )


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32, 1,000 steps. paper: width 128, 3,000 steps, 256 real images a class.

    Both: four networks, two passes over the real images each, 64 targets, a rate that falls to
    zero, and four smaller images in the place of one. On images of up to 16 pixels images are whole
    and passes are eight: a first look, of which there is no record, did better so.

    There is no published figure to expect. paper took 65 minutes of a core that multiplies bfloat16
    for CIFAR-10 at 10 images a class.
    """
    config = Config(
        network=f"convnet-d{about.depth}-w32-instance-relu-avg",
        iterations=1000,
        real_batch=64,
        schedule="linear",
        formation=2,
    )
    if about.small:
        config = dataclasses.replace(config, formation=1, trained=8.0, cross_entropy=1.0)
    if presets.require(name) == "laptop":
        return config
    network = f"convnet-d{about.depth}-w128-instance-relu-avg"
    return dataclasses.replace(config, network=network, iterations=3000, real_batch=256)


def statistic(network: Network, images: Tensor, *, config: Config) -> list[Vectors]:
    """DM's embedding [B, D], and the logits [B, classes]."""
    (term,) = embedding(network, images)
    if not config.cross_entropy:
        return [term]
    logits = network.head(term.rows)
    return [term, Vectors("logits", config.cross_entropy, logits, logits=True)]


distill = functools.partial(match_told, statistic)
"""Learn `ipc` images of every class present; see `distill.objectives.matching.match`."""
