"""Class means and cross-entropy in networks that were trained a little on the real images."""

import dataclasses
import functools

from torch import Tensor

from distill import learn, matching, presets
from distill.attention import attention
from distill.checkpoints import NONE, Checkpoints
from distill.images import About, ImageSet
from distill.matching import match
from distill.members import Vectors
from distill.networks import Network
from distill.runtime.compute import Compute
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(matching.Config):
    """What it is told besides."""

    networks: int = 64
    trained: float = 2.0
    cross_entropy: float = 5.0
    attention: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        learn.require(self, "cross_entropy", least=0)
        learn.require(self, "attention", least=0)
        if self.cross_entropy and not self.trained:
            raise Mistake(
                f"--method.cross-entropy {self.cross_entropy:g} in random networks says nothing of "
                "a class; give --method.trained above 0, or --method.cross-entropy 0"
            )


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32. paper: width 128."""
    width = {"laptop": 32, "paper": 128}[presets.require(name)]
    return Config(
        network=f"convnet-d{about.depth}-w{width}-instance-relu-avg",
        iterations=1000,
        schedule="linear",
        formation=1 if about.small else 2,
        networks=64,
        real_batch=64,
        trained=2,
    )


def statistic(network: Network, images: Tensor, *, config: Config) -> list[Vectors]:
    """The embedding [B, D], and the logits [B, classes]."""
    maps, embedding = network.layers(images)
    terms = [Vectors("embedding", 1.0, embedding)]
    if config.attention:
        terms += [
            Vectors(f"attention of layer {n}", config.attention, attention(f, power=4.0))
            for n, f in enumerate(maps[:-1], 1)
        ]
    if config.cross_entropy:
        terms.append(Vectors("logits", config.cross_entropy, network.head(embedding), logits=True))
    return terms


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Learn `ipc` images of every class present; see `distill.matching.match`."""
    return match(
        functools.partial(statistic, config=config),
        real,
        ipc,
        config=config,
        seed=seed,
        compute=compute,
        progress=progress,
        checkpoints=checkpoints,
    )
