"""What the pixels of somebody's images are: raw, normalised or ZCA-whitened; told by measurement.

The rule:
1. Where some way back (`Way`) makes every value of every image a whole level, n / 255 in 0..1, they
   were pixels of 8 bits, and that way is the one.
2. Else each way back is judged by its distance to `SAMPLE` real images of the same classes
   (`distance`). The nearest is taken if it lies within `NEAR`, every other lies at least `APART`
   times as far, and its spectrum has the slope of real images (`slant` within `FLAT`), which no
   change of brightness and contrast changes and whitening does. For images of up to `SMALL` numbers
   ZCA is among the ways: a whitening of so few changes the spectrum little.
3. Else the user is asked (`--pixels`). So is whoever has whitened images: whitening after mean and
   deviation (DataDAM, and here) and whitening of plain pixels (MTT) differ in the finest detail
   alone, which learning changes too, so that no measurement tells them apart.
By rule 2 two conventions of mean and deviation (CIFAR's 0.2023 and 0.247) cannot be told apart
either: the dataset's own is taken, and named in the line that is said.

What it was tried on: 18 sets of CIFAR-10, learned with DataDAM in 1,000 steps, 100 images and 10 of
each. The slant of all 18 is at 0.02 to 0.31, and whitened at 0.66 or more. Distances were measured
of six of them: the right way is at 0.06 to 0.33, the next at 0.95 or more; whitened, the nearest is
at 0.61 or more. Learned images of 8 x 8 digits go from -6 to 7 and are like no real ones: there one
is asked.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.images import Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake
from distill.whitening import MOST_WHITENED as MOST
from distill.whitening import whitened

KINDS = ("raw", "normalised", "zca")
NEAR = 0.5
"""A distance: a typical statistic is then off by a factor of 1.6."""
FLAT = 0.5
"""A slant: bands of detail are then off by factors of 1.6, some up and some down."""
APART = 2.0
SAMPLE = 500
SMALL = 1024
"""Numbers of an image up to which a whitening is fitted to measure by: at once."""
LEVEL = 0.02
"""How far from a whole level of 255 a real pixel may come back."""


class Way(NamedTuple):
    """A way back to pixels.

    Attributes:
        kind: one of `KINDS`. words: what it is, for people.
        normalisation: that is undone; raw ones were only scaled.
    """

    kind: str
    words: str
    normalisation: Normalisation

    def back(self, images: Tensor) -> Tensor:
        """Images as the file has them, in pixel units."""
        return self.normalisation.inverse(images)


class Taken(NamedTuple):
    """The way that was taken: the images in pixel units, and why, in words with numbers."""

    images: Tensor
    way: Way
    why: str


def told(
    images: Tensor,
    data: Data,
    labels: Tensor,
    *,
    pixels: str | None,
    normalisation: Normalisation,
    path: Path,
    say: Callable[[str], None],
) -> Taken:
    """Bring images to pixel units, as asked for or as the measurement says.

    Args:
        images: float32 [N, C, H, W] as a file has them. labels: int64 [N].
        pixels: one of `KINDS`, or the words of a way; None to measure.
        normalisation: mean and deviation of what may have been normalised.

    Raises:
        Mistake: no way is the nearest by far; it says the distances and what to give. Or images
            that are too large to be whitened.
    """
    real = features(_sample(data.train.only(labels.unique().tolist())))
    ways = _ways(data, normalisation, pixels, say)
    levels = next((way for way in ways if _whole(way.back(images))), None)
    if levels is not None:
        why = f"{levels.words}: pixels of 8 bits, for then every value is a level of 255"
        return Taken(levels.back(images), levels, why)
    far = {way: distance(features(way.back(images)), real) for way in ways}
    near, *others = sorted(ways, key=far.__getitem__)
    slanted = slant(features(near.back(images)), real)
    beside = "".join(f"; {way.words} {far[way]:.2f}" for way in others)
    why = f"{near.words}: distance {far[near]:.2f} to real images, slant {slanted:.2f}{beside}"
    alone = all(far[way] >= APART * far[near] for way in others)
    clear = near.kind != "zca" and far[near] <= NEAR and alone and slanted <= FLAT
    if pixels is None and not clear:
        raise Mistake(
            f"{path}: no measurement tells what its pixels are ({why}); give --pixels raw, "
            "normalised, or zca (whitened after mean and deviation; of plain pixels, as MTT's: "
            "--mean 0 --std 1)"
        )
    return Taken(near.back(images), near, why)


def _ways(
    data: Data, normalisation: Normalisation, pixels: str | None, say: Callable[[str], None]
) -> list[Way]:
    """Those that are tried: of every kind, of the one that is asked for, or the very one."""
    channels, numbers = data.train.shape[0], math.prod(data.train.shape)
    plain = [
        Way(
            "raw", f"raw 0..{most}", Normalisation((0.0,) * channels, (1 / most,) * channels, "raw")
        )
        for most in (1, 255)
    ]
    numbered = (normalisation.mean, normalisation.std)
    words = "mean {} and deviation {}".format(*(_listed(part) for part in numbered))
    ways = [*plain, Way("normalised", f"normalised by {words}", normalisation)]
    if pixels == "zca" or (pixels is None and numbers <= SMALL):
        if numbers > MOST:
            raise Mistake(
                f"--pixels zca: images of {numbers} numbers are too large to be whitened; up to "
                f"{MOST} are not"
            )
        if numbers > SMALL:
            say(f"fitting the whitening of {data.train.name}, a minute ...")
        fitted = whitened(data.normalised_by(normalisation)).train.normalisation
        ways.append(Way("zca", f"ZCA-whitened after {words}", fitted))
    return [way for way in ways if pixels in (None, way.kind, way.words)]


def _listed(numbers: tuple[float, ...]) -> str:
    return "/".join(f"{n:.4g}" for n in dict.fromkeys(numbers))


# ------------------------------------------------------------------ measuring


class Features(NamedTuple):
    """Of images: mean [C] and deviation [C] of each channel, and of each band of detail [B]."""

    mean: Tensor
    deviation: Tensor
    bands: Tensor


def features(images: Tensor) -> Features:
    """What is measured of float [N, C, H, W].

    A band is what is lost when 2 x 2 pixels become one, from the finest on; the last one is what
    remains. Whitening, whose covariance has a flat spectrum, raises fine bands above coarse ones.
    """
    mean = images.mean((0, 2, 3), keepdim=True)
    bands, rest = [], images
    while min(rest.shape[-2:]) >= 4 and not any(size % 2 for size in rest.shape[-2:]):
        coarse = F.avg_pool2d(rest, 2)
        lost = rest - coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)
        bands.append(lost.square().mean().sqrt())
        rest = coarse
    bands.append((rest - mean).square().mean().sqrt())
    return Features(mean.flatten(), images.std((0, 2, 3)), torch.stack(bands))


def distance(found: Features, real: Features) -> float:
    """How unlike real images: root mean square over all features.

    Of a mean the difference in real deviations, of a deviation the logarithm of the ratio.
    """
    tiny = 1e-9  # images of one colour are far, and no error
    parts = (
        (found.mean - real.mean) / real.deviation.clamp(min=tiny),
        (found.deviation.clamp(min=tiny) / real.deviation.clamp(min=tiny)).log(),
        (found.bands.clamp(min=tiny) / real.bands.clamp(min=tiny)).log(),
    )
    return float(torch.cat(parts).square().mean().sqrt())


def slant(found: Features, real: Features) -> float:
    """How unlike the spectrum of real images, whatever the contrast.

    The deviation of the logarithms of the ratios of the bands.
    """
    tiny = 1e-9
    logarithms = (found.bands.clamp(min=tiny) / real.bands.clamp(min=tiny)).log()
    return float((logarithms - logarithms.mean()).square().mean().sqrt())


def _sample(real: ImageSet) -> Tensor:
    """float [n, C, H, W] in pixel units: `SAMPLE` images, evenly from the classes."""
    each = -(-SAMPLE // len(real.present))
    chosen = []
    for label in real.present:
        own = real.of_class(label)
        places = torch.linspace(0, len(own) - 1, min(each, len(own))).long()
        chosen.append(own[places])
    return torch.cat(chosen).float() / 255


def _whole(images: Tensor) -> bool:
    """Whether all values are levels of 255 from black to white, and not all the same few."""
    levels = images * 255
    near = bool(((levels - levels.round()).abs() < LEVEL).all())
    within = bool((levels > -LEVEL).all() and (levels < 255 + LEVEL).all())
    return near and within and float(levels.max()) > 1.5


def standardised(
    about: Normalisation, mean: str | None, std: str | None, *, channels: int
) -> Normalisation:
    """The dataset's own mean and deviation, or those that --mean and --std give.

    Args:
        mean, std: one number, or one a channel with commas between; None for the dataset's.

    Raises:
        Mistake: something else.
    """
    given = {}
    for flag, text in (("mean", mean), ("std", std)):
        if text is None:
            continue
        try:
            numbers = tuple(float(word) for word in text.split(","))
        except ValueError:
            numbers = ()
        least = -1e3 if flag == "mean" else 1e-6
        if len(numbers) not in (1, channels) or not all(least <= n <= 1e3 for n in numbers):
            raise Mistake(
                f"--{flag} {text[:60]}: give one number, or {channels} with commas between, such "
                f"as {','.join(f'{n:g}' for n in getattr(about, flag))}"
            )
        given[flag] = numbers * (channels // len(numbers))
    source = {"source": "given"} if given else {}
    return dataclasses.replace(about, whitening=None, **given, **source)
