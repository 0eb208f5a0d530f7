"""The one loop over pixels: start, optimiser, schedule, averaging, health.

What the images are learned for is an `Objective` (`distill/objectives`); the loop knows nothing of
it but the gradient.
"""

import dataclasses
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from distill import formation, positions
from distill.checkpoints import NONE, Checkpoints, State
from distill.health import Health
from distill.images import About, ImageSet
from distill.runtime import registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake, unknown
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.settings import Settings, require

SCHEDULES = ("constant", "linear")
SELECTIONS = ("herding", "kcenter")
"""Methods that choose images to start from."""
STARTS = ("real", "noise", *SELECTIONS)
MOST_STEPS = 100_000_000


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """How pixels are learned.

    Attributes:
        iterations: steps on the synthetic images.
        rate: learning rate of the image optimiser, SGD.
        momentum: of the image optimiser.
        schedule: the rate stays `constant`, as published, or falls `linear` to zero.
        averaged: the images are the mean of so large a last part of the steps; 0 takes the last.
        start: images begin as `real` images of their class drawn at random, as those that
            `herding` or `kcenter` chooses, as those that a FILE.csv names, with the columns
            class and position, or as `noise`.
        formation: f > 1 keeps f x f smaller images in the place of one, enlarged when shown.
    """

    iterations: int = 8000
    rate: float = 1.0
    momentum: float = 0.5
    schedule: str = "constant"
    averaged: float = 0.0
    start: str = "real"
    formation: int = 1

    learns: ClassVar[bool] = True
    stepwise: ClassVar[bool] = True
    compiles: ClassVar[bool] = True
    trained: ClassVar[float] = 0.0  # passes over real images, of networks; others set it

    def __post_init__(self) -> None:
        require(self, "iterations", least=0, most=MOST_STEPS)
        require(self, "rate", above=0)
        require(self, "momentum", least=0, below=1)
        require(self, "averaged", least=0, below=1)
        require(self, "formation", least=1, most=1024)
        if self.start.endswith(".csv"):
            object.__setattr__(self, "start", positions.read(self.start))
        if self.schedule not in SCHEDULES:
            raise unknown("--method.schedule", self.schedule, SCHEDULES)
        if self.start not in STARTS and not positions.are(self.start):
            raise unknown("--method.start", self.start, (*STARTS, "FILE.csv"))

    @property
    def averaged_from(self) -> int:
        """The first of the steps after which the images are averaged."""
        last = self.averaged * self.iterations - 1e-9  # 0.7 of 10 steps is a little above 7
        return self.iterations - max(0, math.ceil(last))

    @property
    def unit(self) -> int:
        """After a multiple of so many steps a run that is broken off can go on."""
        return 1

    @property
    def extendable(self) -> bool:
        """Whether a run of fewer steps is the beginning of a run of more."""
        return self.schedule == "constant" and self.averaged == 0

    @property
    def remedy(self) -> str:
        """What to change where numbers are no longer finite."""
        return f"give a lower --method.rate than {self.rate}"

    def rate_at(self, step: int) -> float:
        """The learning rate of `step`, counted from 0."""
        return (
            self.rate if self.schedule == "constant" else self.rate * (1 - step / self.iterations)
        )


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
    state = checkpoints.state
    if state is None:
        first = first_images(real, ipc, config=config, seed=seed, device=device, progress=progress)
        state = State(0, first, torch.zeros_like(first), torch.zeros_like(first))
    learned = _Learned(state, config, device)
    objective.prepare(progress)
    given = {"window": objective.window, "deviation": _deviation(real), "say": progress.say}
    health = Health(config.iterations, **given)
    progress.start("steps", config.iterations, done=state.step)
    done = state.step
    try:
        for number in range(state.step, config.iterations):
            step = objective.step(learned.images, number)
            done = 0  # between two steps
            learned.follow(step, number)
            done = number + 1
            due = checkpoints.due or (done == config.iterations and checkpoints.begun)
            if due and done % config.unit == 0:
                checkpoints.keep(learned.state(done))
            health.watch(number, step.loss, learned.images, step.maps)
            progress.advance(note=f"loss {step.loss / len(real.present):.4g} a class")
    except KeyboardInterrupt:
        if done > state.step and done % config.unit == 0 and checkpoints.store is not None:
            checkpoints.keep(learned.state(done))
        raise
    # Class by class, since a product of more rows may round otherwise.
    images = torch.stack([real.normalisation.inverse(own) for own in learned.result()])
    if not images.isfinite().all():
        raise _endless(config, config.iterations, "too large to be averaged or shown")
    return images


def _deviation(real: ImageSet) -> float:
    """Of the pixels of a real image, as a network sees it: the median over the classes' first."""
    seen = [real.normalisation(real.of_class(label)[:1]) for label in real.present]
    return float(torch.cat(seen).std((1, 2, 3)).median())


def _endless(config: Config, step: int, how: str) -> Mistake:
    return Mistake(f"at step {step} of {config.iterations} the images are {how}; {config.remedy}")


class _Learned:
    """Images [G, ipc, C, H, W] on their way: the optimiser and the average."""

    def __init__(self, state: State, config: Config, device: torch.device) -> None:
        self.config = config
        self.images, momentum, self.total = (t.to(device, copy=True) for t in state[1:])
        self.optimiser = torch.optim.SGD([self.images], lr=config.rate, momentum=config.momentum)
        self.optimiser.state[self.images]["momentum_buffer"] = momentum

    def follow(self, step: Step, number: int) -> None:
        """One step against the gradient.

        Raises:
            Mistake: the loss or the images are no longer finite.
        """
        config, images = self.config, self.images
        images.grad = step.gradient
        self.optimiser.param_groups[0]["lr"] = config.rate_at(number)
        self.optimiser.step()
        if not (math.isfinite(step.loss) and images.isfinite().all()):
            raise _endless(config, number + 1, f"no longer finite, the loss {step.loss:.4g}")
        if number >= config.averaged_from:
            self.total += images

    def state(self, step: int) -> State:
        """Where they stand after so many steps."""
        momentum = self.optimiser.state[self.images]["momentum_buffer"]
        return State(step, self.images, momentum, self.total)

    def result(self) -> Tensor:
        """The images, or their average over the last steps."""
        count = self.config.iterations - self.config.averaged_from
        return self.total / count if count else self.images


def first_images(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    device: torch.device = CPU.device,
    progress: Progress | None = None,
) -> Tensor:
    """[G, ipc, C, H, W], as a network sees them; each class by itself, from streams of its own.

    Args:
        device: on which a selection looks at the images.
    """
    formation.require(config.formation, real.shape)
    progress = progress if progress and config.start in SELECTIONS else Progress()
    progress.start("starts", len(real.present))  # the others take no time
    first = []
    for label in real.present:
        if config.start == "noise":
            stream = generator(seed, "start", label)
            first.append(torch.randn(ipc, *real.shape, generator=stream))
        else:
            pixels = _real_start(real.only([label]), ipc, config, seed, device)
            first.append(real.normalisation(pixels))
        progress.advance()
    return torch.stack(first)


def selection(start: str) -> ModuleType | None:
    """The method that chooses images to start from, if one does."""
    return registry.load("distill.methods", start) if start in SELECTIONS else None


def selecting(method: ModuleType, about: About, count: int) -> Any:
    """How it chooses `count` images a class."""
    return method.preset(about, count, "laptop")


def _real_start(
    real: ImageSet, ipc: int, config: Config, seed: int, device: torch.device
) -> Tensor:
    """[ipc, C, H, W] in pixel units, of the one class in `real`."""
    (label,) = real.present
    count = ipc * config.formation**2
    method = selection(config.start)
    if method is not None:
        few = min(count, len(real))
        chosen = method.distill(
            real,
            few,
            config=selecting(method, real.about, few),
            seed=seed,
            compute=Compute(device),
            progress=Progress(),
        )[0]
        return formation.encode(chosen[torch.arange(count) % few], config.formation)
    if positions.are(config.start):
        chosen = positions.images(config.start, real, label, count).float() / 255
        return formation.encode(chosen, config.formation)
    stream = generator(seed, "start", label)
    return formation.start(real.images, ipc, config.formation, stream)
