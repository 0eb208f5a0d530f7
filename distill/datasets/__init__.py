"""One file is one dataset: `load(root, size) -> Data`.

`root` is the folder given with --data-root; `size` the image size given with --image-size, or None.
"""

from pathlib import Path

from distill.images import Data
from distill.mistake import Mistake
from distill.registry import load as load_module


def load(name: str, *, root: Path, size: int | None = None) -> Data:
    """The training and test images of the dataset `name`.

    Raises:
        Mistake: unknown name, images that are missing or not what they should be, or a size for a
            dataset that has its own.
    """
    module = load_module("datasets", name)
    if size is not None and name != "folder":
        raise Mistake(f"{name} has its own image size; --image-size is for --dataset folder")
    return module.load(root, size)
