"""The two ways to learn with a memory, as plugins of Avalanche's plain fine-tuning."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from distill.images import ImageSet
from distill.networks import build_many, parse
from distill.runtime.compute import CPU, Compute
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.runtime.store import Tensors
from distill.training import passes, train
from distill.training.passes import Pass
from distill.training.stack import Grouped, Stack, stack
from downstream.continual._avalanche import CLExperience, Naive, SupervisedPlugin
from downstream.continual.buffer import DistilledBuffer
from downstream.continual.memory import Memory
from downstream.continual.protocol import Protocol

MOMENTUM, BUFFER = "momentum of ", "momentum_buffer"
"""Before a parameter's name in what is kept; torch's own name of it."""


class Rehearsal(SupervisedPlugin):
    """What both strategies do around Avalanche's loops."""

    def __init__(
        self,
        buffer: DistilledBuffer | Memory,
        protocol: Protocol,
        *,
        order: int,
        progress: Progress,
    ) -> None:
        """For the class order number `order`; `progress` counts epochs."""
        super().__init__()
        self.buffer, self.protocol = buffer, protocol
        self.order, self.progress = order, progress
        self.step = 0

    def networks(self, device: torch.device) -> Stack | Grouped:
        """Fresh ones for this step."""
        return fresh_networks(
            self.buffer.real, self.protocol, order=self.order, step=self.step, device=device
        )

    def state(self, strategy: Naive) -> Tensors:
        """What later steps need of this one, besides the memory."""
        return {}

    def go_on(self, strategy: Naive, experiences: Sequence[CLExperience], tensors: Tensors) -> None:
        """Begin after the `experiences` of an earlier run, which left the `tensors` of `state`."""
        for experience in experiences:
            self.buffer.post_adapt(strategy, experience)
            self.step += 1

    def streams(self) -> list[torch.Generator]:
        """Where this step's mini-batches come from, a generator a network."""
        protocol = self.protocol
        return train.streams(protocol.seed, protocol.networks, self.order, self.step)

    def before_training_epoch(self, strategy: Naive, **kwargs: object) -> None:
        """Follow the recipe's schedule."""
        self.losses: list[Tensor] = []
        train.set_rate(
            strategy.optimizer, self.protocol.recipe.rate_at(strategy.clock.train_exp_epochs)
        )

    def after_training_iteration(self, strategy: Naive, **kwargs: object) -> None:
        """Remember the loss: it is looked at once an epoch, so that a GPU need not wait."""
        self.losses.append(strategy.loss)

    def after_training_epoch(self, strategy: Naive, **kwargs: object) -> None:
        """Report an epoch.

        Raises:
            Diverged: a loss is not finite.
        """
        protocol, done = self.protocol, strategy.clock.train_exp_iterations
        epoch = (done - 1) // len(self.losses)
        train.require_finite(self.losses, protocol.recipe, protocol.network, done=done, epoch=epoch)
        loss = strategy.loss.item() / self.protocol.networks
        self.progress.advance(note=f"order {self.order + 1} step {self.step + 1} loss {loss:.3f}")

    def before_eval_exp(self, strategy: Naive, **kwargs: object) -> None:
        """Serve Avalanche's evaluation loop nothing: `evaluation.Accuracies` does its work."""
        strategy.dataloader = ()


class InPieces(Naive):
    """Avalanche's plain fine-tuning, whose mini-batches go through `train.gradients`.

    Attributes:
        way: there, of a piece of a mini-batch.
    """

    compute: Compute = CPU
    way: Pass = staticmethod(passes.forward)

    def forward(self) -> Tensor:
        """The logits [K, B, classes] of the mini-batch; its gradients have been taken already."""
        given = {"compute": self.compute, "forward": self.way}
        _, logits = train.gradients(self.model, self.mb_x, self.mb_y, **given)
        return logits

    def backward(self) -> None:
        """`forward` has done it."""


class Retrain(Rehearsal):
    """Fresh networks at every step, trained on the memory alone (the published protocol)."""

    def before_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """Let the buffer take in the step, then begin afresh."""
        self.buffer.post_adapt(strategy, strategy.experience)
        strategy.model = self.networks(strategy.device).train()
        strategy.optimizer = self.protocol.recipe.optimiser(strategy.model)
        strategy.optimized_param_id = None  # else Avalanche puts the old parameters back
        images, labels = (t.to(strategy.device) for t in self.buffer.tensors())
        recipe = self.protocol.recipe
        strategy.dataloader = train.Batches(
            images, labels, recipe=recipe, generators=self.streams()
        )
        strategy.way = passes.compiled(
            strategy.model,
            images,
            labels,
            recipe=recipe,
            steps=recipe.epochs * len(strategy.dataloader),
            compute=strategy.compute,
            say=self.progress.say,
        )

    def after_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """On to the next step."""
        self.step += 1


class Replay(Rehearsal):
    """The networks go on, on the step's real images with the memory mixed in.

    So does their momentum: Avalanche keeps the optimiser's state from step to step.
    """

    def state(self, strategy: Naive) -> Tensors:
        """The networks, what their norms have seen, and the momentum."""
        momenta = {
            f"{MOMENTUM}{name}": strategy.optimizer.state[parameter][BUFFER]
            for name, parameter in strategy.model.named_parameters()
            if strategy.optimizer.state[parameter].get(BUFFER) is not None
        }
        return {**strategy.model.state_dict(), **momenta}

    def go_on(self, strategy: Naive, experiences: Sequence[CLExperience], tensors: Tensors) -> None:
        """As the networks stood then."""
        super().go_on(strategy, experiences, tensors)
        weights = {name: t for name, t in tensors.items() if not name.startswith(MOMENTUM)}
        strategy.model.load_state_dict(weights)
        strategy.make_optimizer(reset_optimizer_state=True)  # as Avalanche does at its first step
        for name, parameter in strategy.model.named_parameters():
            if f"{MOMENTUM}{name}" in tensors:
                momentum = tensors[f"{MOMENTUM}{name}"].to(parameter.device)
                strategy.optimizer.state[parameter][BUFFER] = momentum

    def before_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """Serve this step's images and the memory of earlier steps."""
        real = self.buffer.real.only(sorted(strategy.experience.classes_in_this_experience))
        memory, memory_labels = self.buffer.tensors()
        images = torch.cat([real.normalisation(real.images), memory]).to(strategy.device)
        labels = torch.cat([real.labels, memory_labels]).to(strategy.device)
        strategy.dataloader = MixedBatches(
            images,
            labels,
            memory=len(memory),
            recipe=self.protocol.recipe,
            generators=self.streams(),
        )

    def after_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """Only now does the buffer take in the step."""
        self.buffer.post_adapt(strategy, strategy.experience)
        self.step += 1


class Cumulative(Replay):
    """The networks go on, on all that the buffer holds of this step and the earlier ones.

    With a buffer that keeps everything it is joint training, as Avalanche's strategy of this name.
    """

    def before_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """Let the buffer take in the step, and serve it whole."""
        self.buffer.post_adapt(strategy, strategy.experience)
        images, labels = (t.to(strategy.device) for t in self.buffer.tensors())
        strategy.dataloader = train.Batches(
            images, labels, recipe=self.protocol.recipe, generators=self.streams()
        )

    def after_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """On to the next step."""
        self.step += 1


PLUGINS = {"retrain": Retrain, "replay": Replay}
"""One for each of `protocol.STRATEGIES`."""


class MixedBatches(train.Batches):
    """Mini-batches of real images, each with as many drawn from the memory with replacement."""

    def __init__(self, images: Tensor, labels: Tensor, *, memory: int, **kwargs: object) -> None:
        """The last `memory` of the images [N, C, H, W] are the memory."""
        super().__init__(images, labels, **kwargs)
        self.memory = memory

    def __len__(self) -> int:
        return self.recipe.batches(len(self.images) - self.memory)

    def __iter__(self) -> Iterator[list[Tensor]]:
        current = len(self.images) - self.memory
        for chosen in self.orders(current).split(self.recipe.batch, dim=1):
            if self.memory:
                shape = (chosen.shape[1],)
                drawn = [torch.randint(self.memory, shape, generator=g) for g in self.generators]
                old = current + torch.stack(drawn).to(chosen.device)
                chosen = torch.cat([chosen, old], 1)
            yield self.gather(chosen)


def fresh_networks(
    real: ImageSet, protocol: Protocol, *, order: int, step: int, device: torch.device
) -> Stack | Grouped:
    """The networks of one order and step, initialised from the seed, side by side."""
    streams = [
        generator(protocol.seed, "continual network", order, step, k)
        for k in range(protocol.networks)
    ]
    networks = build_many(
        parse(protocol.network), real.shape, classes=len(real.classes), generators=streams
    )
    return stack([network.to(device) for network in networks], real.shape)
