"""Images in the form that Avalanche takes, and its class-incremental benchmark of them."""

from torch import Tensor
from torch.utils.data import Dataset

from distill.images import Data, ImageSet
from distill.runtime.mistake import Mistake
from downstream.continual._avalanche import (
    AvalancheDataset,
    CLScenario,
    ConstantSequence,
    DataAttribute,
    class_incremental_benchmark,
)
from downstream.continual.protocol import class_order, step_sizes


class Normalised(Dataset):
    """The items of an `ImageSet` as a network is shown them: (float [C, H, W], int64 []).

    An image is normalised when it is read; the images themselves are not copied.
    """

    def __init__(self, real: ImageSet) -> None:
        self.real = real

    def __len__(self) -> int:
        return len(self.real)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.real.normalisation(self.real.images[index]), self.real.labels[index]


def avalanche_dataset(items: Dataset, labels: Tensor) -> AvalancheDataset:
    """Items (image, label) with their labels [N] in the one form that Avalanche can mix and replay.

    Its own items are [image, label, task], the task always 0.
    """
    task = DataAttribute(
        ConstantSequence(0, len(labels)), "targets_task_labels", use_in_getitem=True
    )
    return AvalancheDataset(
        [items], data_attributes=[DataAttribute(labels.tolist(), "targets"), task]
    )


def class_incremental(data: Data, *, steps: int, order: int = 0) -> CLScenario:
    """Avalanche's benchmark in which the classes of `data` come in `steps` experiences.

    Args:
        data: normalised by `Normalisation.fixed`. It is not copied, and not turned into floats
            before an image is read.
        order: number of the class order (`protocol.class_order`).

    Returns:
        Its `train_stream` and `test_stream` have an experience a step; class ids are the original
        ones, and all tasks are 0.

    Raises:
        Mistake: steps below 1 or above the number of classes, or a fitted normalisation.
    """
    require_fixed(data.train)
    classes = len(data.train.classes)
    sizes = step_sizes(classes, steps)
    halves = {
        name: avalanche_dataset(Normalised(half), half.labels)
        for name, half in (("train", data.train), ("test", data.test))
    }
    benchmark = class_incremental_benchmark(
        halves, class_order=class_order(order, classes), num_classes_per_exp=sizes
    )
    covered = [c for step in benchmark.train_stream for c in step.classes_in_this_experience]
    assert sorted(covered) == list(range(classes)), "Avalanche dropped a class"
    return benchmark


def require_fixed(real: ImageSet) -> None:
    """Check that the normalisation of `real` depends on no image.

    Raises:
        Mistake: it was fitted, so that each step would know something of the others.
    """
    if real.normalisation.source != "fixed":
        raise Mistake(
            f"the normalisation of {real.name} was fitted ({real.normalisation.source}), so a step "
            "would see the statistics of other steps; continual learning takes a fixed one: give "
            f"data.normalised_by(Normalisation.fixed({real.shape[0]}))"
        )
