"""A bank: networks trained a little on the real images, in which a method's targets are bought.

Each network of a bank is initialised from a stream of its own and trained on the images of the
classes present, and on no others. Its weights are kept at some points on the way. What lies between
two points is one stretch (`distill.training.stretches`).
"""

import dataclasses
import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distill import pattern
from distill.checkpoints import Checkpoints
from distill.drawing import Seen
from distill.images import About, ImageSet
from distill.networks import Network, drafted, initialise, size
from distill.pattern import Pattern
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.runtime.store import Tensors
from distill.training import stretches
from distill.training.recipes import Recipe
from distill.training.stretches import TrainingPlace
from distill.training.train import require_finite, training

if TYPE_CHECKING:
    from distill.objectives.matching import Config

VERSION = 1
KIND = "networks"
"""Of a store's pieces: one a network."""
POINTS = 4
"""At which the weights of a network are kept, equally far from each other, the last at the end."""
LOOKED_AT = 100
"""Steps after which losses are looked at."""


def recipe(about: About) -> Recipe:
    """How networks of a bank are trained: as the field trains them, but at a constant rate.

    Mini-batches are of 64 images, so that few passes over few images are steps enough.
    """
    return Recipe(batch=64, drop=1.0, operations=about.operations)


@dataclasses.dataclass(frozen=True)
class Bank:
    """The networks of one set.

    Attributes:
        real: all images that they may see.
        pattern: from which each network is drawn. initialisation: of their weights.
        count: of networks. passes: over the images, for each.
        seed: of the set.
    """

    real: ImageSet
    pattern: Pattern
    initialisation: str
    count: int
    passes: float
    seed: int
    compute: Compute

    @classmethod
    def of(cls, config: "Config", real: ImageSet, *, seed: int, compute: Compute) -> "Bank":
        """Of a set of the classes in `real`, of a method that matches in trained networks."""
        networks = pattern.parse(config.network)
        given = {"initialisation": config.initialisation, "count": config.bank}
        return cls(real, networks, passes=config.trained, seed=seed, compute=compute, **given)

    @property
    def nbytes(self) -> int:
        """Of all weights that are kept."""
        specs = [self.pattern.draw(self.seed, number) for number in range(self.count)]
        classes = len(self.real.classes)
        return sum(4 * POINTS * size(spec, self.real.shape, classes)[0] for spec in specs)

    @property
    def recipe(self) -> Recipe:
        """How each is trained."""
        return recipe(self.real.about)

    @property
    def steps(self) -> int:
        """From one point to the next."""
        return max(1, round(self.passes / POINTS * self.recipe.batches(len(self.real))))

    @functools.cached_property
    def images(self) -> Seen:
        """All of them, as a network sees them."""
        return Seen(self.real, device=self.compute.device)

    def weights(self, progress: Progress, checkpoints: Checkpoints) -> list[list[Tensor]]:
        """Of every network at every point, in the order of the network's parameters.

        State k is one of network number k % count: those that follow each other are of
        different networks. What the store of `checkpoints` has is taken from there, the others are
        trained and kept.

        Raises:
            Diverged: a training came to numbers that are not finite.
            Mistake: the folder cannot be written to.
        """
        total = self.count * POINTS * self.steps
        progress.start("steps of networks on real images", total)
        members = [self._points(number, progress, checkpoints) for number in range(self.count)]
        return [
            [weight[point] for weight in member.values()]
            for point in range(POINTS)
            for member in members
        ]

    def place(self, number: int) -> TrainingPlace:
        """Of a network in a store: what its weights depend on, wherever it is on its way."""
        facts = stretches.facts_of(self.real, self.compute) | {
            "version": VERSION,
            "network": str(self.pattern.draw(self.seed, number)),
            "initialisation": self.initialisation,
            "recipe": self.recipe,
            "steps": self.steps,
            "number": number,
            "seed": self.seed,
        }
        return TrainingPlace(f"{self.real.name}-{KIND}-{number}", KIND, facts)

    def _points(self, number: int, progress: Progress, checkpoints: Checkpoints) -> Tensors:
        """The parameters of a network by name, [points, ...] each."""
        network = self._network(number)
        shapes = {name: tuple(weight.shape) for name, weight in network.named_parameters()}

        def stretch(before: Tensors, done: int) -> Tensors:
            for name, weight in network.named_parameters():
                if done:
                    weight.data.copy_(before[name][-1])
            stream = generator(self.seed, "bank", number, "from", done)
            self._train(network, stream, progress, before=done * self.steps)
            return {
                name: torch.cat([*([before[name]] if done else []), weight.data.cpu()[None]])
                for name, weight in network.named_parameters()
            }

        def check(tensors: Tensors, done: int) -> None:
            for name, shape in shapes.items():
                weight = tensors[name]
                if weight.dtype != torch.float32 or tuple(weight.shape) != (done, *shape):
                    raise ValueError("its weights have another form")
                if not weight.isfinite().all():
                    raise ValueError("its weights are not finite")

        given = {"place": self.place(number), "check": check, "unit": self.steps}
        kept = stretches.run(stretch, POINTS, checkpoints=checkpoints, progress=progress, **given)
        return {name: kept[name] for name in shapes}

    def _network(self, number: int) -> Network:
        """The network of that number as it is initialised."""
        spec = self.pattern.draw(self.seed, number)
        network = drafted(spec, self.real.shape, classes=len(self.real.classes))
        stream = generator(self.seed, "bank", number)
        initialise(network.to_empty(device="cpu"), generator=stream, scheme=self.initialisation)
        return network.to(self.compute.device)

    def _train(
        self, network: Network, stream: torch.Generator, progress: Progress, *, before: int
    ) -> None:
        """Train it for one stretch, in place; it has had so many steps before.

        Raises:
            Diverged: a loss is not finite.
        """
        losses: list[Tensor] = []
        batches = self.recipe.batches(len(self.real))
        whole = dataclasses.replace(self.recipe, epochs=-(-POINTS * self.steps // batches))
        steps = training(
            [network],
            self.images,
            self.real.labels.to(self.compute.device),
            recipe=self.recipe,
            generators=[stream],
            steps=self.steps,
            compute=self.compute,
            say=progress.say,
        )
        for done, loss in steps:
            losses.append(loss)
            note = ""
            if len(losses) == LOOKED_AT or done == self.steps:
                so_far = {"done": before + done, "epoch": (before + done - 1) // batches}
                require_finite(losses, whole, network.spec, **so_far)
                note = f"loss {loss.item():.3f}"
                losses.clear()
            progress.advance(note=note)
