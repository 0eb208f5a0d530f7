"""DataDAM (Sajedi et al., ICCV 2023): spatial attention of every layer, and the last features."""

import dataclasses
import functools

from torch import Tensor

from distill import presets
from distill.images import About
from distill.methods.dm import laptop
from distill.networks import Network
from distill.objectives import matching
from distill.objectives.attention import attention
from distill.objectives.matching import match_told
from distill.objectives.members import Vectors
from distill.settings import require

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(matching.Config):
    """What DataDAM is told besides.

    The loss is weight * (L_SAM + balance * L_MMD).

    Attributes:
        power: p of the attention maps; 4 in the paper, 1 in the released code.
        balance: lambda, the share of the last features; 0.02 for images of 64 pixels and more.
        weight: of the whole loss. The paper has none; the released code has 100, and the published
            learning rate of 1 belongs to it: with lambda 0.01 the second term is DM's loss.
        every_layer: attention of the last layer too, which the paper leaves to the second term.
    """

    power: float = 4
    balance: float = 0.01
    weight: float = 100.0
    every_layer: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "power", above=0)
        require(self, "balance", least=0)
        require(self, "weight", above=0)


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop: width 32, targets bought once (`dm.laptop`). paper: 8,000 fresh networks, width 128.

    released and formation: see the functions `released` and `with_formation`.

    paper is the paper's table of hyper-parameters: learning rate 1 (10 above 50 images a class),
    momentum 0.5, p = 4, lambda = 0.01 (0.02 above 32 px); the number of real images is not
    published: 128 here. See its Table 1 (CIFAR-10: 32.0, 54.2, 67.0 % at 1, 10, 50 images a class;
    whether whitened sources disagree).
    """
    config = Config(
        network=f"convnet-d{about.depth}-w128-instance-relu-avg",
        rate=10.0 if ipc > 50 else 1.0,
        balance=0.02 if max(about.shape[1:]) > 32 else 0.01,
    )
    presets.require(name, "released", "formation")
    if name == "paper":
        return config
    if name == "released":
        return released(about)
    config = laptop(config, about)
    return with_formation(config) if name == "formation" else config


def released(about: About) -> Config:
    """What the released code does, where it departs from the paper.

    Batch norm, which couples the classes; power 1; 20,000 steps, 64 real images, lambda 0.01 and
    learning rate 1 at any size (its help text says 10 from 100 images a class on). It does not
    whiten unless asked to, so leave --zca out. Its own evaluation trains for 1,800 epochs in
    batches of 64. The depth is that of the field at a size, which the released code leaves to its
    user. The paper's headline figures (see `preset`) are probably of networks with batch norm: the
    released weights have it, and the authors advise it. Whether of whitened images is not settled.
    """
    return Config(
        network=f"convnet-d{about.depth}-w128-batch-relu-avg",
        iterations=20000,
        real_batch=64,
        power=1,
    )


def with_formation(config: Config) -> Config:
    """Four smaller images in the place of one, and a rate that falls to zero.

    Better than `laptop` on photographs of 32 pixels (CIFAR-10 at 10 images a class: 42.5 for 39.3 %
    by the recipe `short`). On images of 8 pixels formation loses by far: a quarter holds too
    little.
    """
    return dataclasses.replace(config, formation=2, schedule="linear")


def statistic(network: Network, images: Tensor, *, config: Config) -> list[Vectors]:
    """The attention maps of every layer but the last (or of all), and the embedding.

    L_SAM is the squared distance of the class means of the maps [B, H_l * W_l], summed
    over the layers; L_MMD that of the embeddings [B, D].
    """
    maps, embedding = network.layers(images)
    terms = [
        Vectors(
            f"attention of layer {layer}",
            config.weight,
            attention(f, power=config.power),
        )
        for layer, f in enumerate(maps if config.every_layer else maps[:-1], 1)
    ]
    return [*terms, Vectors("embedding", config.weight * config.balance, embedding)]


distill = functools.partial(match_told, statistic)
"""Learn `ipc` images of every class present; see `distill.objectives.matching.match`."""
