"""The attention maps of random networks on real images, and how far they agree."""

import base64
import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.attention.correlation import Correlations
from benchmarks.attention.facts import LayerAgreement, Picture, Results
from distill.images import ImageSet
from distill.networks import Network, Spec, build, couples_images, initialise
from distill.objectives.attention import attention
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator

CHUNK = 100
"""Images that pass through a network at once, where none depends on the others."""
SHOWN = 4
"""Images whose maps are drawn."""
SINGLE = 3
"""Networks whose maps are drawn, beside the mean of all."""


@dataclasses.dataclass(frozen=True)
class Looking:
    """What is looked at, and through what.

    Attributes:
        chosen: the images. network: whose norm is varied. count: of random networks.
        seed: of the networks. power: p of the maps.
    """

    chosen: ImageSet
    network: Spec
    norms: Sequence[str]
    initialisations: Sequence[str]
    count: int
    seed: int
    power: float
    compute: Compute

    @property
    def shown(self) -> list[int]:
        """Which images are drawn: the first ones of classes evenly apart."""
        labels = self.chosen.labels.tolist()
        firsts = [labels.index(label) for label in self.chosen.present]
        step = max(1, len(firsts) // SHOWN)
        return firsts[::step][:SHOWN]


def choose(real: ImageSet, ipc: int, seed: int) -> ImageSet:
    """`ipc` images of every class, drawn at random."""
    parts = []
    for label in real.present:
        own = (real.labels == label).nonzero()[:, 0]
        drawn = torch.randperm(len(own), generator=generator(seed, "images", label))
        parts.append(own[drawn[:ipc]])
    places = torch.cat(parts)
    names = ("images", "labels", "positions")
    return dataclasses.replace(real, **{name: getattr(real, name)[places] for name in names})


def results(looking: Looking, progress: Progress) -> Results:
    """All that is measured of every norm and initialisation."""
    total = len(looking.norms) * len(looking.initialisations) * looking.count
    progress.start("networks", total)
    layers: list[LayerAgreement] = []
    pictures: list[Picture] = []
    for norm in looking.norms:
        for scheme in looking.initialisations:
            own, drawn = _measured(looking, norm, scheme, progress, drawing=not pictures)
            layers += own
            pictures += drawn
    return Results(layers=layers, pictures=pictures)


def _measured(
    looking: Looking, norm: str, scheme: str, progress: Progress, *, drawing: bool
) -> tuple[list[LayerAgreement], list[Picture]]:
    """The layers of networks of one norm and initialisation, and what is drawn of them."""
    correlations: list[Correlations] = []
    sizes: list[tuple[int, int]] = []
    kept: list[list[Tensor]] = []  # by layer, of each network the maps that may be drawn
    for maps in networks_maps(looking, norm, scheme):
        correlations = correlations or [Correlations() for _ in maps]
        sizes = [tuple(own.shape[1:]) for own in maps]
        for summed, own in zip(correlations, maps, strict=True):
            summed.add(own.flatten(1))
        if drawing:
            kept.append([own[looking.shown] for own in maps])
        progress.advance()
    layers = []
    for number, (summed, (height, width)) in enumerate(zip(correlations, sizes, strict=True), 1):
        same, other = summed.agreement()
        layers.append(
            LayerAgreement(
                norm=norm,
                initialisation=scheme,
                layer=number,
                height=height,
                width=width,
                same=_rounded(same),
                other=_rounded(other),
            )
        )
    return layers, _pictures(looking, kept) if drawing else []


def networks_maps(looking: Looking, norm: str, scheme: str) -> Iterator[list[Tensor]]:
    """Of each random network the maps [N, H, W] of all images, layer by layer."""
    images, device = looking.chosen, looking.compute.device
    shown = images.normalisation(images.images).to(device)
    spec = dataclasses.replace(looking.network, norm=norm)
    classes = len(images.classes)
    for number in range(looking.count):
        stream = generator(looking.seed, "network", number)
        network = build(spec, images.shape, classes=classes, generator=stream)
        stream = generator(looking.seed, "network", number)
        initialise(network, generator=stream, scheme=scheme)
        chunk = len(shown) if couples_images(spec) else CHUNK
        parts = [_maps(network.to(device), part, looking.power) for part in shown.split(chunk)]
        yield [torch.cat(own).cpu() for own in zip(*parts, strict=True)]


@torch.inference_mode()
def _maps(network: Network, images: Tensor, power: float) -> list[Tensor]:
    """The maps [B, H, W] of every layer, each of length 1."""
    return [
        attention(features, power=power).unflatten(1, features.shape[2:])
        for features in network.layers(images)[0]
    ]


def _rounded(values: Tensor) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values.tolist()]


def _pictures(looking: Looking, kept: list[list[Tensor]]) -> list[Picture]:
    """The images that are drawn, with the mean of all their maps and those of a few networks."""
    pictures = []
    for place, number in enumerate(looking.shown):
        image = looking.chosen.images[number]
        pictures.append(_picture(place, "image", 0, image))
        for layer in range(len(kept[0])):
            maps = torch.stack([own[layer][place] for own in kept])
            single = {str(k + 1): maps[k] for k in range(min(SINGLE, len(maps)))}
            for what, one in {"mean": maps.mean(0), **single}.items():
                bright = (255 * one / one.max().clamp(min=1e-30)).round().to(torch.uint8)
                pictures.append(_picture(place, what, layer + 1, bright[None]))
    return pictures


def _picture(image: int, what: str, layer: int, content: Tensor) -> Picture:
    """Of uint8 [C, H, W]."""
    text = base64.b64encode(content.contiguous().numpy().tobytes()).decode()
    shape = list(content.shape)
    return Picture(image=image, what=what, layer=layer, shape=shape, content=text)
