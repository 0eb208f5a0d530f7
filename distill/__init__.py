"""Dataset distillation: make a few synthetic images per class that train a network well.

DataDAM (Sajedi et al., ICCV 2023) and the methods it is compared with; see README.md. For programs:

    import distill
    data = distill.load_dataset("digits")
    small = distill.distill("datadam", data.train, ipc=1)
    small.save(Path("set.safetensors"))
    small = distill.open_set("set.safetensors")   # a torch Dataset of (pixels, label)
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from distill.images import Data, ImageSet
    from distill.synthetic import SyntheticSet

__all__ = ["distill", "load_dataset", "open_set"]


def load_dataset(
    name: str, *, root: str | Path = "data", size: int | None = None, judged: bool = True
) -> "Data":
    """The training and test images of one of `distill/datasets`.

    Args:
        root: folder of the images; downloads go there.
        size: in pixels, for datasets of your own pictures.
        judged: whether test images are needed; if not, a folder may have none.

    Returns:
        (train, test), two `distill.images.ImageSet`.

    Raises:
        ValueError: no such dataset, or images that are missing or not what they should be.
    """
    from distill import datasets

    return datasets.load(name, root=Path(root), size=size, judged=judged)


def distill(
    method: str,
    real: "ImageSet",
    *,
    ipc: int,
    preset: str = "laptop",
    seed: int = 0,
    device: "str | torch.device" = "auto",
    precision: str = "auto",
    store: str | Path | None = None,
    **changes: Any,
) -> "SyntheticSet":
    """Make a set of `ipc` images for every class in `real` by one of `distill/methods`.

    torch has as many threads afterwards as before; on a GPU float32 stays float32, and not TF32.

    Args:
        preset: of the method's configuration; `changes` are made to it, such as `power=1`.
        precision: `float32`, `bfloat16`, or `auto`: the second where the processor multiplies it.
        store: a folder in which finished classes are kept and found again.

    Raises:
        ValueError: for every way in which this cannot be done, in one line.
    """
    import torch

    from distill import plan
    from distill.images import ImageSet
    from distill.runtime.compute import Compute
    from distill.runtime.mistake import Mistake
    from distill.runtime.store import Store

    if not isinstance(real, ImageSet):
        raise Mistake(f"{method} takes images such as data.train, not a {type(real).__name__}")
    threads = torch.get_num_threads()
    try:
        return plan.distill(
            plan.Plan.of(method, real.about, ipc=ipc, preset=preset, seed=seed, **changes),
            real,
            compute=Compute.of(device, real.shape, precision=precision),
            store=None if store is None else Store(Path(store)),
        )
    finally:
        torch.set_num_threads(threads)


def open_set(path: str | os.PathLike) -> "SyntheticSet":
    """The set in a file that `SyntheticSet.save` or `python -m distill` wrote.

    Raises:
        ValueError: no such file, a damaged one, or not a synthetic set.
    """
    from distill.synthetic import SyntheticSet

    return SyntheticSet.load(Path(path))
