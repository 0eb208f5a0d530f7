"""The only training loop of the suite: several networks on one set of images."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from distill.augment import augment, draw
from distill.networks import Network
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.training.captured import captured
from distill.training.cutmix import cutmix
from distill.training.passes import compiled, forward, gradients
from distill.training.recipes import Recipe
from distill.training.stack import stack

ADVICE = "; choose another network or recipe, or look at its images"


class Diverged(Mistake):
    """A training whose numbers are no longer finite."""


def require_finite(
    losses: Sequence[Tensor], recipe: Recipe, network: object, *, done: int, epoch: int
) -> None:
    """Check the losses of the last steps.

    Args:
        losses: of one number each. network: its name. done: steps so far. epoch: the present one,
            from 0.

    Raises:
        Diverged: one is not finite; it names the first.
    """
    finite = torch.cat([loss.detach().reshape(1) for loss in losses]).isfinite()
    if finite.all():
        return
    first = int((~finite).nonzero()[0])
    raise Diverged(
        f"the training of {network} diverged: its loss is {losses[first].item()} at step "
        f"{done - len(losses) + first + 1} (epoch {epoch + 1} of {recipe.epochs}, rate "
        f"{recipe.rate_at(epoch):g}){ADVICE}"
    )


class Batches:
    """One epoch of shuffled, augmented mini-batches for K networks, each in an order of its own.

    Iterating draws on from the generators, so every pass differs. Yields [x, y]: x float
    [K, B, C, H, W], y int64 [K, B]; for a recipe with CutMix y is probabilities, float [K, B, c], c
    the highest label + 1.
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
        self.classes = int(labels.max()) + 1 if recipe.cutmix else 0

    def __len__(self) -> int:
        return self.recipe.batches(len(self.images))

    def orders(self, count: int) -> Tensor:
        """[K, count] on the device of the images: a permutation for each network."""
        drawn = [torch.randperm(count, generator=g) for g in self.generators]
        return torch.stack(drawn).to(self.images.device)

    def gather(self, chosen: Tensor) -> list[Tensor]:
        """The mini-batch of the images `chosen` [K, B], augmented and mixed."""
        images, labels = self.images[chosen], self.labels[chosen]
        if self.recipe.operations:
            drawn = draw(self.generators, self.recipe.operations, images=chosen.shape[1])
            images = augment(images, drawn.to(images))
        if not self.recipe.cutmix:
            return [images, labels]
        given = {"probability": self.recipe.cutmix, "generators": self.generators}
        return list(cutmix(images, labels, classes=self.classes, **given))

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
    compute: Compute = CPU,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[int, Tensor]]:
    """Train every network on all the images, in place, one optimiser step at a time.

    Args:
        networks: on the device of the images; each learns as if alone, from its own generator.
        images: float [N, C, H, W], normalised.
        labels: int64 [N].
        steps: stop after so many, whatever the recipe's epochs; the rate then falls after half of
            them.
        say: is told in a line where there is no compiler.

    Yields:
        After each step: the steps done, and the loss [] summed over the networks.
    """
    model = stack(networks, images.shape).train()
    optimiser = recipe.optimiser(model)
    batches = Batches(images, labels, recipe=recipe, generators=generators)
    in_steps = dataclasses.replace(recipe, epochs=steps) if steps else None
    done, total = 0, steps or recipe.epochs * len(batches)
    graph, way = captured(model, images.device, compute, say), forward
    if graph is None:
        given = {"recipe": recipe, "steps": total, "compute": compute, "say": say}
        way = compiled(model, images, labels, **given)
    while done < total:
        for x, y in itertools.islice(batches, total - done):
            epoch = done // len(batches)
            set_rate(optimiser, in_steps.rate_at(done) if in_steps else recipe.rate_at(epoch))
            if graph is not None:
                loss = graph(x, y)
            else:
                optimiser.zero_grad()
                loss, _ = gradients(model, x, y, compute=compute, forward=way)
            optimiser.step()
            done += 1
            yield done, loss


def fit(
    networks: Sequence[Network],
    images: Tensor,
    labels: Tensor,
    *,
    recipe: Recipe,
    seed: int,
    numbers: Sequence[int] | None = None,
    compute: Compute = CPU,
    progress: Progress | None = None,
) -> None:
    """Do the whole of `training`.

    Args:
        numbers: of the networks, each of which has a stream of its own; from 0 on if None.
        progress: started by the caller; it counts epochs.

    Raises:
        Diverged: a loss is not finite.
    """
    epoch = recipe.batches(len(images))
    numbers = range(len(networks)) if numbers is None else numbers
    steps = training(
        networks,
        images,
        labels,
        recipe=recipe,
        generators=[generator(seed, "train", number) for number in numbers],
        compute=compute,
        say=progress.say if progress else lambda line: None,
    )
    losses: list[Tensor] = []
    for done, loss in steps:
        losses.append(loss)
        if done % epoch == 0:  # once an epoch, so that a GPU need not wait at each step
            name = networks[0].spec
            require_finite(losses, recipe, name, done=done, epoch=done // epoch - 1)
            losses.clear()
            if progress is not None:
                progress.advance(note=f"loss {loss.item() / len(networks):.3f}")


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.inference_mode()
def predictions(
    networks: Sequence[Network], images: Tensor, *, chunk: int = 100, compute: Compute = CPU
) -> Tensor:
    """int64 [K, N] on the CPU: the class that each network gives to each normalised image.

    Networks that were being trained can go on: each is left in the mode it was in.

    Raises:
        Diverged: what a network says is not finite: its last step went wrong.
    """
    classes = []
    for network in networks:
        mode = network.training
        network.eval()
        with compute.autocast():
            logits = torch.cat([network(part) for part in images.split(chunk)])
        network.train(mode)
        if not logits.isfinite().all():
            raise Diverged(
                f"{network.spec} gives no finite numbers for some images: its training diverged"
                f"{ADVICE}"
            )
        classes.append(logits.argmax(1))
    return torch.stack(classes).cpu()


def accuracy(
    networks: Sequence[Network], images: Tensor, labels: Tensor, *, compute: Compute = CPU
) -> Tensor:
    """float [K]: the fraction of normalised images [N, C, H, W] that each network gets right."""
    predicted = predictions(networks, images, compute=compute)
    return (predicted == labels.cpu()).float().mean(1)
