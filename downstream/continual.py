"""Class-incremental learning on Avalanche with a distilled replay buffer."""

import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from avalanche.benchmarks import class_incremental_benchmark
    from avalanche.benchmarks.utils import AvalancheDataset, ConstantSequence, DataAttribute
    from avalanche.training import Naive
    from avalanche.training.plugins import SupervisedPlugin
    from avalanche.training.storage_policy import ExemplarsBuffer

from distill import train
from distill.images import Data, ImageSet
from distill.networks import build_many, parse
from distill.progress import Progress
from distill.seeding import generator
from distill.stack import Grouped, Stack, stack
from distill.synthetic import SyntheticSet, merge
from downstream.metrics import OrderResult
from downstream.protocol import Protocol, class_order, step_sizes

Distil = Callable[[ImageSet], SyntheticSet]
"""Makes the small set of a step's real images."""


def avalanche_dataset(images: Tensor, labels: Tensor) -> AvalancheDataset:
    """Images [N, C, H, W] and labels [N] in the one form that Avalanche can mix and replay."""
    task = DataAttribute(
        ConstantSequence(0, len(labels)), "targets_task_labels", use_in_getitem=True
    )
    return AvalancheDataset(
        [TensorDataset(images, labels)],
        data_attributes=[DataAttribute(labels.tolist(), "targets"), task],
    )


class DistilledBuffer(ExemplarsBuffer):
    """A replay memory that takes in each step's classes as a small set and keeps them as they are.

    It is given a step's real images and nothing else: no image of another step, and no statistic
    fitted on one.
    """

    def __init__(self, real: ImageSet, distil: Distil, *, max_size: int) -> None:
        """For the training images `real`; `max_size` images after the last step."""
        super().__init__(max_size)
        assert real.normalisation.source == "fixed", "a fitted statistic would see other steps"
        self.real, self.distil = real, distil
        self.held: SyntheticSet | None = None

    def post_adapt(self, agent_state: object, exp: object) -> None:
        """Take in the classes of the experience `exp`."""
        classes = sorted(exp.classes_in_this_experience)
        images = self.real.only(classes)
        assert images.present == classes
        new = self.distil(images)
        assert new.labels.unique().tolist() == classes
        self.held = new if self.held is None else merge([self.held, new])
        assert len(self.held) <= self.max_size
        self.buffer = avalanche_dataset(*self.tensors())

    def update(self, strategy: object, **kwargs: object) -> None:
        """Avalanche's older name of `post_adapt`."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: object, new_size: int) -> None:
        """Not possible: synthetic images are learned together."""
        raise NotImplementedError("a distilled buffer cannot shrink; distil a smaller one")

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Images [N, C, H, W], normalised, and labels [N]; both empty before the first step."""
        if self.held is None:
            return torch.empty(0, *self.real.shape), torch.empty(0, dtype=torch.int64)
        return self.real.normalisation(self.held.images), self.held.labels


class _Rehearsal(SupervisedPlugin):
    """What both strategies do around Avalanche's training loop."""

    def __init__(
        self, buffer: DistilledBuffer, protocol: Protocol, order: int, progress: Progress
    ) -> None:
        super().__init__()
        self.buffer, self.protocol = buffer, protocol
        self.order, self.progress = order, progress
        self.step = 0

    def streams(self) -> list[torch.Generator]:
        """Where this step's mini-batches come from, a generator a network."""
        protocol = self.protocol
        return train.streams(protocol.seed, protocol.networks, self.order, self.step)

    def before_training_epoch(self, strategy: Naive, **kwargs: object) -> None:
        """Follow the recipe's schedule."""
        train.set_rate(
            strategy.optimizer, self.protocol.recipe.rate_at(strategy.clock.train_exp_epochs)
        )

    def after_training_epoch(self, strategy: Naive, **kwargs: object) -> None:
        """Report an epoch."""
        loss = strategy.loss.item() / self.protocol.networks
        self.progress.advance(note=f"order {self.order + 1} step {self.step + 1} loss {loss:.3f}")


class Retrain(_Rehearsal):
    """Fresh networks at every step, trained on the memory alone (the published protocol)."""

    def before_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """Let the buffer take in the step, then begin afresh."""
        self.buffer.post_adapt(strategy, strategy.experience)
        strategy.model = fresh_networks(
            self.buffer.real, self.protocol, self.order, self.step, strategy.device
        ).train()
        strategy.optimizer = self.protocol.recipe.optimiser(strategy.model)
        strategy.optimized_param_id = None  # else Avalanche puts the old parameters back
        images, labels = (t.to(strategy.device) for t in self.buffer.tensors())
        strategy.dataloader = train.Batches(
            images, labels, recipe=self.protocol.recipe, generators=self.streams()
        )

    def after_training_exp(self, strategy: Naive, **kwargs: object) -> None:
        """On to the next step."""
        self.step += 1


class Replay(_Rehearsal):
    """The networks go on, on the step's real images with the memory mixed in."""

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
    real: ImageSet, protocol: Protocol, order: int, step: int, device: torch.device
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


def run_order(
    data: Data,
    distil: Distil,
    *,
    ipc: int,
    protocol: Protocol,
    order: int,
    device: torch.device,
    progress: Progress,
) -> OrderResult:
    """Go through one class order.

    Args:
        data: normalised by `Normalisation.fixed`.
        distil: fills the buffer, a step at a time.
        order: the number of the class order.

    Returns:
        The number of test images of each step and one accuracy matrix a network.
    """
    classes = len(data.train.classes)
    sizes = step_sizes(classes, protocol.steps)
    labels = class_order(order, classes)
    stream = class_stream(data, labels, sizes)
    covered = [c for experience in stream for c in experience.classes_in_this_experience]
    assert sorted(covered) == list(range(classes)), "Avalanche dropped a class"

    buffer = DistilledBuffer(data.train, distil, max_size=ipc * classes)
    plugin = {"retrain": Retrain, "replay": Replay}[protocol.strategy]
    strategy = strategy_with(plugin(buffer, protocol, order, progress), device)
    test = data.test.normalisation(data.test.images).to(device)
    rows = []
    groups = [torch.tensor(sorted(e.classes_in_this_experience)) for e in stream]
    for step, experience in enumerate(stream):
        strategy.train(experience, eval_streams=[])
        rows.append(_row(strategy.model.networks, test, data.test.labels, groups[: step + 1]))
    blank = [[None] * (protocol.steps - 1 - step) for step in range(protocol.steps)]
    matrices = [
        [[*row[k], *gap] for row, gap in zip(rows, blank, strict=True)]
        for k in range(protocol.networks)
    ]
    return OrderResult([int(torch.isin(data.test.labels, g).sum()) for g in groups], matrices)


def class_stream(data: Data, order: list[int], sizes: list[int]) -> Sequence:
    """Avalanche's experiences: the classes of `order`, `sizes[i]` of them at step i."""
    halves = {
        name: avalanche_dataset(half.normalisation(half.images), half.labels)
        for name, half in zip(("train", "test"), data, strict=True)
    }
    return class_incremental_benchmark(
        halves, class_order=order, num_classes_per_exp=sizes
    ).train_stream


def strategy_with(plugin: _Rehearsal, device: torch.device) -> Naive:
    """Avalanche's plain fine-tuning, made into a rehearsal strategy by `plugin`."""
    protocol = plugin.protocol
    stack = fresh_networks(plugin.buffer.real, protocol, plugin.order, 0, device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No loggers specified")
        return Naive(
            model=stack,
            optimizer=protocol.recipe.optimiser(stack),
            criterion=train.cross_entropy,
            train_mb_size=protocol.recipe.batch,
            train_epochs=protocol.recipe.epochs,
            device=device,
            plugins=[plugin],
            evaluator=None,
        )


def _row(
    networks: Sequence[torch.nn.Module], test: Tensor, labels: Tensor, groups: list[Tensor]
) -> list[list[float]]:
    """[network][group]: the accuracy in percent on the test images of each group of classes."""
    seen = torch.isin(labels, torch.cat(groups))
    right = train.predictions(networks, test[seen.to(test.device)]) == labels[seen]
    parts = [right[:, torch.isin(labels[seen], group)] for group in groups]
    accuracies = torch.stack([100 * part.double().mean(1) for part in parts], 1)
    return accuracies.round(decimals=4).tolist()
