"""The one loop over pixels: start, optimiser, schedule, averaging, health.

What the images are learned for is an `Objective` (`distill.matching`); the loop knows nothing of
it but the gradient.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from distill import formation
from distill.checkpoints import NONE, Checkpoints, State
from distill.health import Health
from distill.images import ImageSet
from distill.runtime.mistake import Mistake, unknown
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator

SCHEDULES = ("constant", "linear")
STARTS = ("real", "noise")


@dataclasses.dataclass(frozen=True)
class Config:
    """How pixels are learned.

    Attributes:
        iterations: steps on the synthetic images.
        rate: learning rate of the image optimiser, SGD.
        momentum: of the image optimiser.
        schedule: the rate stays `constant`, as published, or falls `linear` to zero.
        averaged: the images are the mean of so large a last part of the steps; 0 takes the last.
        start: images begin as `real` images of their class or as `noise`.
        formation: f > 1 keeps f x f smaller images in the place of one, enlarged when shown.
    """

    iterations: int = 8000
    rate: float = 1.0
    momentum: float = 0.5
    schedule: str = "constant"
    averaged: float = 0.0
    start: str = "real"
    formation: int = 1

    def __post_init__(self) -> None:
        require(self, "iterations", least=0)
        require(self, "rate", above=0)
        require(self, "momentum", least=0, below=1)
        require(self, "averaged", least=0, below=1)
        require(self, "formation", least=1)
        for name, accepted in (("schedule", SCHEDULES), ("start", STARTS)):
            if getattr(self, name) not in accepted:
                raise unknown(f"--method.{name}", getattr(self, name), accepted)

    @property
    def extendable(self) -> bool:
        """Whether a run of fewer steps is the beginning of a run of more."""
        return self.schedule == "constant" and self.averaged == 0

    def rate_at(self, step: int) -> float:
        """The learning rate of `step`, counted from 0."""
        return (
            self.rate if self.schedule == "constant" else self.rate * (1 - step / self.iterations)
        )


def require(
    config: object,
    name: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Check a number of a method's configuration.

    Raises:
        Mistake: it is not finite or not within the bounds.
    """
    value = getattr(config, name)
    if math.isfinite(value) and value >= least and value > above and value < below:
        return
    bounds = [f"{least} or more"] if least > -math.inf else []
    bounds += [f"above {above}"] if above > -math.inf else []
    bounds += [f"below {below}"] if below < math.inf else []
    flag = name.replace("_", "-")
    raise Mistake(f"--method.{flag} {value}: give {' and '.join(bounds) or 'a finite number'}")


class Step(NamedTuple):
    """What an objective says of the images at one step.

    Attributes:
        loss: summed over the classes.
        gradient: [G, ipc, C, H, W], of the loss.
        maps: attention maps of some synthetic images, [B, D] each, by name; to be watched.
    """

    loss: float
    gradient: Tensor
    maps: Mapping[str, Tensor]


class Objective(Protocol):
    """What images are learned for."""

    window: int
    """Steps after which losses can be compared."""

    def prepare(self, progress: Progress) -> None:
        """Do what is done once, before the first step."""

    def step(self, images: Tensor, number: int) -> Step:
        """Loss and gradient at images [G, ipc, C, H, W], as the network sees them."""


def learn(
    objective: Objective,
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    device: torch.device,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Learn `ipc` images for every class present in `real`, from where `checkpoints` left them.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Mistake: a formation that does not fit, or a loss or images that are no longer finite.
    """
    images = first_images(real, ipc, config=config, seed=seed).to(device)
    total, done = torch.zeros_like(images), 0
    optimiser = torch.optim.SGD([images], lr=config.rate, momentum=config.momentum)
    if checkpoints.state is not None:
        done = checkpoints.state.step
        images.copy_(checkpoints.state.images)
        total.copy_(checkpoints.state.total)
        momentum = checkpoints.state.momentum.to(device, copy=True)
        optimiser.state[images]["momentum_buffer"] = momentum
    objective.prepare(progress)
    health = Health(config.iterations, window=objective.window, say=progress.say)
    progress.start("steps", config.iterations)
    progress.advance(done)
    last = config.averaged * config.iterations - 1e-9  # 0.7 of 10 steps is a little above 7
    averaged_from = config.iterations - max(0, math.ceil(last))
    for number in range(done, config.iterations):
        step = objective.step(images, number)
        images.grad = step.gradient
        optimiser.param_groups[0]["lr"] = config.rate_at(number)
        optimiser.step()
        if not (math.isfinite(step.loss) and images.isfinite().all()):
            raise Mistake(
                f"the loss is {step.loss:.4g} at step {number + 1} of {config.iterations} and the "
                f"images are no longer finite; give a lower --method.rate than {config.rate}"
            )
        if number >= averaged_from:
            total += images
        if checkpoints.due or (number + 1 == config.iterations and checkpoints.kept):
            momentum = optimiser.state[images].get("momentum_buffer")
            still = torch.zeros_like(images) if momentum is None else momentum
            checkpoints.keep(State(number + 1, images, still, total))
        health.watch(number, step.loss, images, step.maps)
        progress.advance(note=f"loss {step.loss / len(real.present):.4g} a class")
    count = config.iterations - averaged_from
    return real.normalisation.inverse(total / count if count else images)


def first_images(real: ImageSet, ipc: int, *, config: Config, seed: int) -> Tensor:
    """[G, ipc, C, H, W], as a network sees them; each class from a stream of its own."""
    formation.require(config.formation, real.shape)
    drawn = []
    for label in real.present:
        stream = generator(seed, "start", label)
        if config.start == "noise":
            drawn.append(torch.randn(ipc, *real.shape, generator=stream))
        else:
            pixels = formation.start(real.of_class(label), ipc, config.formation, stream)
            drawn.append(real.normalisation(pixels))
    return torch.stack(drawn)
