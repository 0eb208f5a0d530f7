"""A replay memory of distilled images, as one of Avalanche's storage policies."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from distill import plan
from distill.images import ImageSet
from distill.runtime.compute import Compute
from distill.runtime.mistake import Mistake
from distill.runtime.store import Store
from distill.synthetic import SyntheticSet, merge
from downstream.continual._avalanche import CLExperience, ExemplarsBuffer
from downstream.continual.data import avalanche_dataset, require_fixed

Distill = Callable[[ImageSet], SyntheticSet]
"""Makes the small set of a step's real images."""


class DistilledBuffer(ExemplarsBuffer):
    """A replay memory that takes in each step's classes as a small set and keeps them as they are.

    It is given a step's real images and nothing else: no image of another step, and no statistic
    fitted on one. `buffer` holds what a network is shown: decoded and normalised.

    Attributes:
        max_size: images stored after the last step.
    """

    def __init__(self, real: ImageSet, distill: Distill, *, max_size: int) -> None:
        """For the training images `real` of all steps, of which `distill` is given one at a time.

        Raises:
            Mistake: the normalisation of `real` was fitted.
        """
        super().__init__(max_size)
        require_fixed(real)
        self.real, self.distill = real, distill
        self.held: SyntheticSet | None = None

    @classmethod
    def of(
        cls,
        method: str,
        real: ImageSet,
        *,
        ipc: int,
        preset: str = "laptop",
        seed: int = 0,
        device: "str | torch.device" = "auto",
        precision: str = "auto",
        store: str | Path | None = None,
        **changes: Any,
    ) -> "DistilledBuffer":
        """A memory of `ipc` images a class, made by one of `distill/methods`.

        Args:
            preset: of the method's configuration; `changes` are made to it, such as `power=1`.
            precision: `float32`, `bfloat16`, or `auto`, the second where it is native.
            store: a folder in which finished sets are kept and found again.

        Raises:
            Mistake: for every way in which this cannot be done, before any step begins.
        """
        plan.require_ipc(real, ipc)
        distill = functools.partial(
            plan.distill,
            plan.Plan.of(method, real.about, ipc=ipc, preset=preset, seed=seed, **changes),
            compute=Compute.of(device, real.shape, precision=precision),
            store=None if store is None else Store(Path(store)),
        )
        return cls(real, distill, max_size=ipc * len(real.present))

    def post_adapt(self, agent_state: object, exp: CLExperience) -> None:
        """Take in the classes of the experience `exp`.

        Raises:
            Mistake: it has a class of which there are no images, or one that is held already.
        """
        classes = sorted(exp.classes_in_this_experience)
        self._require_new(classes)
        new = self.distill(self.real.only(classes))
        assert new.labels.unique().tolist() == classes
        self.held = new if self.held is None else merge([self.held, new])
        assert len(self.held.images) <= self.max_size
        images, labels = self.tensors()
        self.buffer = avalanche_dataset(TensorDataset(images, labels), labels)

    def update(self, strategy: object, **kwargs: object) -> None:
        """Avalanche's older name of `post_adapt`."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: object, new_size: int) -> None:
        """Not possible: synthetic images are learned together."""
        raise NotImplementedError("a distilled buffer cannot shrink; distill a smaller one")

    def tensors(self) -> tuple[Tensor, Tensor]:
        """What a network is shown: images [N, C, H, W], normalised, and labels [N].

        Both are empty before the first step.
        """
        if self.held is None:
            return torch.empty(0, *self.real.shape), torch.empty(0, dtype=torch.int64)
        images, labels = self.held.decoded()
        return self.real.normalisation(images), labels

    def _require_new(self, classes: list[int]) -> None:
        absent = sorted(set(classes) - set(self.real.present))
        if absent:
            raise Mistake(
                f"an experience holds the classes {absent}, of which {self.real.name} has no "
                "images here; give the buffer the images that the benchmark was made of"
            )
        held = [] if self.held is None else self.held.labels.unique().tolist()
        again = sorted(set(classes) & set(held))
        if again:
            raise Mistake(
                f"the classes {again} are in the memory already; a distilled buffer takes each "
                "class once: use a benchmark in which no class comes back"
            )
