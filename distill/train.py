"""The only training loop of the suite: several networks on one set of images."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.augment import OPERATIONS, augment, draw
from distill.networks import Network
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.stack import stack


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained. The defaults are the field's evaluation recipe.

    SGD on hard labels with DSA augmentation; the learning rate falls once, after half the epochs
    (published-code behaviour, without its one epoch too many).

    Attributes:
        epochs: passes over the images. batch: mini-batch size, of the images of one network.
        drop: factor on the learning rate in the second half.
        operations: of DSA; those that suit the dataset (`About.operations`), () for none.
    """

    epochs: int = 1000
    rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    drop: float = 0.1
    operations: tuple[str, ...] = OPERATIONS

    def rate_at(self, epoch: int) -> float:
        """The learning rate of `epoch`, counted from 0."""
        return self.rate if epoch < (self.epochs + 1) // 2 else self.rate * self.drop

    def batches(self, images: int) -> int:
        """Mini-batches in one pass over so many images."""
        return -(-images // self.batch)

    def optimiser(self, module: nn.Module) -> torch.optim.SGD:
        """SGD over all parameters of `module`."""
        return torch.optim.SGD(
            module.parameters(),
            self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            fused=True,
        )


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the mini-batch, summed over the networks, so that each learns as if alone.

    Args:
        logits: [K, B, classes]. labels: [K, B].
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten()) * len(logits)


class Batches:
    """One epoch of shuffled, augmented mini-batches for K networks, each in an order of its own.

    Iterating draws on from the generators, so every pass differs. Yields [x, y]: x float
    [K, B, C, H, W], y int64 [K, B].
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        recipe: Recipe,
        generators: list[torch.Generator],
    ) -> None:
        """Images [N, C, H, W] normalised, labels [N], on one device; a generator a network."""
        self.images, self.labels = images, labels
        self.recipe, self.generators = recipe, generators

    def __len__(self) -> int:
        return self.recipe.batches(len(self.images))

    def orders(self, count: int) -> Tensor:
        """[K, count] on the device of the images: a permutation for each network."""
        drawn = [torch.randperm(count, generator=g) for g in self.generators]
        return torch.stack(drawn).to(self.images.device)

    def gather(self, chosen: Tensor) -> list[Tensor]:
        """The mini-batch of the images `chosen` [K, B], augmented."""
        images = self.images[chosen]
        if self.recipe.operations:
            drawn = draw(self.generators, self.recipe.operations, images=chosen.shape[1])
            images = augment(images, drawn.to(images))
        return [images, self.labels[chosen]]

    def __iter__(self) -> Iterator[list[Tensor]]:
        for chosen in self.orders(len(self.images)).split(self.recipe.batch, dim=1):
            yield self.gather(chosen)


def streams(seed: int, count: int, *purpose: str | int) -> list[torch.Generator]:
    """One training stream for each of `count` networks."""
    return [generator(seed, "train", *purpose, k) for k in range(count)]


def training(
    networks: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    *,
    recipe: Recipe,
    generators: list[torch.Generator],
    steps: int | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Train every network on all the images, in place, one optimiser step at a time.

    Args:
        networks: on the device of the images; each learns as if alone, from its own generator.
        images: float [N, C, H, W], normalised.
        labels: int64 [N].
        steps: stop after so many, whatever the recipe's epochs; the rate then falls after half of
            them.

    Yields:
        After each step: the steps done, and the loss [] summed over the networks.
    """
    model = stack(networks, images.shape).train()
    optimiser = recipe.optimiser(model)
    batches = Batches(images, labels, recipe=recipe, generators=generators)
    in_steps = dataclasses.replace(recipe, epochs=steps) if steps else None
    done, total = 0, steps or recipe.epochs * len(batches)
    while done < total:
        for x, y in itertools.islice(batches, total - done):
            epoch = done // len(batches)
            set_rate(optimiser, in_steps.rate_at(done) if in_steps else recipe.rate_at(epoch))
            loss = cross_entropy(model(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            yield done, loss.detach()


def fit(
    networks: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    *,
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Do the whole of `training`; `progress` has been started by the caller and counts epochs."""
    epoch = recipe.batches(len(images))
    generators = streams(seed, len(networks))
    for done, loss in training(networks, images, labels, recipe=recipe, generators=generators):
        if progress is not None and done % epoch == 0:
            progress.advance(note=f"loss {loss.item() / len(networks):.3f}")


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.inference_mode()
def predictions(networks: Sequence[Network], images: Tensor, *, chunk: int = 100) -> Tensor:
    """int64 [K, N] on the CPU: the class that each network gives to each normalised image.

    Networks that were being trained can go on: each is left in the mode it was in.
    """
    classes = []
    for network in networks:
        mode = network.training
        network.eval()
        classes.append(torch.cat([network(part).argmax(1) for part in images.split(chunk)]))
        network.train(mode)
    return torch.stack(classes).cpu()


def accuracy(networks: Sequence[Network], images: Tensor, labels: Tensor) -> Tensor:
    """float [K]: the fraction of normalised images [N, C, H, W] that each network gets right."""
    return (predictions(networks, images) == labels.cpu()).float().mean(1)
