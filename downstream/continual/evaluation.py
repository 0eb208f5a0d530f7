"""The accuracy matrix of a run, and what Avalanche's loggers are told of it.

The suite trains K networks side by side, which Avalanche's own metrics do not know, so these take
their place. They go by Avalanche's names, since its CSV logger keeps no others, and in its units:
accuracies are fractions, means over the networks.
"""

from typing import ClassVar

import torch
from torch import Tensor

from distill.images import ImageSet
from distill.runtime.compute import Compute
from distill.training import train
from downstream.continual._avalanche import CLExperience, MetricValue, Naive, PluginMetric
from downstream.continual.metrics import Matrix
from downstream.continual.steps import Rows

AT_ONCE = 1000
"""Test images that are normalised at a time; a multiple of what a network is shown at a time."""


class Accuracies(PluginMetric):
    """Each network's accuracy on the test images of each step's classes, after every step.

    Emits `Top1_Acc_Exp` and, from a step's second evaluation on, `ExperienceForgetting` for each
    experience, and `Top1_Acc_Stream` over all images of the classes seen. Forgetting is that of
    Avalanche: the first accuracy minus the last.
    """

    def __init__(self, test: ImageSet, compute: Compute) -> None:
        super().__init__()
        self.labels, self.compute = test.labels, compute
        self.images = test.images.to(compute.device)
        self.normalisation = test.normalisation.to(compute.device)
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self.rows: list[list[Tensor]] = []
        self.right = self.seen = torch.empty(0)

    def plain(self) -> Rows:
        """What `go_on` takes."""
        return [[accuracies.tolist() for accuracies in row] for row in self.rows]

    def go_on(self, rows: Rows) -> None:
        """Begin after the steps of an earlier run."""
        self.rows = [[torch.tensor(own, dtype=torch.float64) for own in row] for row in rows]

    def result(self) -> list[Matrix]:
        """One matrix a network, as `metrics` describes it."""
        steps, networks = len(self.rows), len(self.rows[0][0])
        return [
            [
                [*(accuracy[k].item() for accuracy in row), *[None] * (steps - len(row))]
                for row in self.rows
            ]
            for k in range(networks)
        ]

    def before_eval(self, strategy: Naive) -> None:
        """Let every network predict all test images of the classes seen."""
        seen = _among(self.labels, *strategy.current_eval_stream)
        parts = self.images[seen.to(self.images.device)].split(AT_ONCE)
        predicted = [
            train.predictions(
                strategy.model.networks, self.normalisation(part), compute=self.compute
            )
            for part in parts
        ]
        self.seen = self.labels[seen]
        self.right = torch.cat(predicted, 1) == self.seen
        self.rows.append([])

    def after_eval_exp(self, strategy: Naive) -> list[MetricValue]:
        """The accuracy on this experience's classes."""
        right = self.right[:, _among(self.seen, strategy.experience)]
        accuracies = (100 * right.double().mean(1)).round(decimals=4)
        place = len(self.rows[-1])
        self.rows[-1].append(accuracies)
        where = f"eval_phase/test_stream/Exp{place:03}"
        values = [self._value(strategy, f"Top1_Acc_Exp/{where}", accuracies)]
        if place < len(self.rows) - 1:
            lost = self.rows[place][place] - accuracies
            values.append(self._value(strategy, f"ExperienceForgetting/{where}", lost))
        return values

    def after_eval(self, strategy: Naive) -> MetricValue:
        """The accuracy on all classes seen."""
        name = "Top1_Acc_Stream/eval_phase/test_stream"
        return self._value(strategy, name, 100 * self.right.double().mean(1))

    def _value(self, strategy: Naive, name: str, percent: Tensor) -> MetricValue:
        mean = percent.mean().item() / 100
        return MetricValue(self, name, mean, strategy.clock.train_iterations)


class Training(PluginMetric):
    """Loss and accuracy on the augmented training images, in each epoch."""

    WHERE: ClassVar[str] = "train_phase/train_stream"

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Begin an epoch."""
        self.images, self.right, self.loss = 0, torch.tensor(0), torch.tensor(0.0)

    def result(self) -> tuple[float, float]:
        """The mean loss and the accuracy of the epoch so far."""
        return (self.loss / self.images).item(), (self.right / self.images).item()

    def before_training_epoch(self, strategy: Naive) -> None:
        """Begin an epoch."""
        self.reset()

    def after_training_iteration(self, strategy: Naive) -> None:
        """Count a mini-batch [K, B]; its loss is a mean over B, summed over K.

        A mixed image counts as what most of it is.
        """
        labels = strategy.mb_y
        if labels.is_floating_point():
            labels = labels.argmax(-1)
        self.images += labels.numel()
        self.right = self.right.to(labels.device)
        self.right += (strategy.mb_output.argmax(-1) == labels).sum()
        self.loss = self.loss.to(labels.device) + strategy.loss.detach() * labels.shape[1]

    def after_training_epoch(self, strategy: Naive) -> list[MetricValue]:
        """Both figures of the epoch."""
        place = strategy.clock.train_iterations
        return [
            MetricValue(self, f"{name}/{self.WHERE}", value, place)
            for name, value in zip(("Loss_Epoch", "Top1_Acc_Epoch"), self.result(), strict=True)
        ]


def _among(labels: Tensor, *experiences: CLExperience) -> Tensor:
    """bool [N]: which labels [N] are of the classes of these experiences."""
    classes = [c for experience in experiences for c in experience.classes_in_this_experience]
    return torch.isin(labels, torch.tensor(sorted(classes)))
