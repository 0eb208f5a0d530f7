"""Digests of tensors; those of classes are computed once while nobody writes to the images."""

import hashlib
from collections.abc import Callable

from torch import Tensor


class Digests:
    """Of the classes of some images, by class id; what `only` takes of them shares what is known.

    torch counts the writes to a tensor and its views: once there is one, nothing is remembered.
    """

    def __init__(self, images: Tensor, known: dict[int, str] | None = None) -> None:
        """`known` is shared, not copied."""
        self._images, self._version = images, images._version
        self._known = {} if known is None else known

    def _current(self) -> dict[int, str]:
        """What is known of the images as they are now."""
        return self._known if self._images._version == self._version else {}

    def of(self, label: int, compute: Callable[[], str]) -> str:
        """The digest of a class, by `compute` if it is not known."""
        known = self._current()
        if label not in known:
            known[label] = compute()
        return known[label]

    def shared_with(self, images: Tensor) -> "Digests":
        """For `images` that hold some of the classes, whole and as they are now."""
        return Digests(images, self._current())

    def __reduce__(self) -> tuple:
        return Digests, (self._images, self._current())


def digest(*tensors: Tensor) -> str:
    """sha256 over the shapes and bytes of CPU tensors."""
    hash = hashlib.sha256()
    for tensor in tensors:
        hash.update(str(tuple(tensor.shape)).encode())
        hash.update(tensor.contiguous().numpy().reshape(-1).view("uint8"))
    return hash.hexdigest()
