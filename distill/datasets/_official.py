"""CIFAR as torchvision reads and downloads it."""

import contextlib
import io
import socket
from pathlib import Path

import torch
from torch import Tensor

from distill.runtime.mistake import Mistake


def read_official(dataset: type, root: Path) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Training images and labels, test images and labels, all uint8; images [N, 3, 32, 32].

    Args:
        dataset: torchvision's CIFAR10 or CIFAR100. Its files in `root` are used if they are there
            and whole (torchvision checks their digests); otherwise they are downloaded.

    Returns:
        The four arrays, or None if the files are not there and the host cannot be reached.

    Raises:
        Mistake: the files are there, and damaged.
    """
    damaged = (root / dataset.base_folder).is_dir()
    arrays: list[Tensor] = []
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)
    try:
        for train in (True, False):
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                half = dataset(root, train=train, download=not damaged)
            images = torch.from_numpy(half.data).permute(0, 3, 1, 2).contiguous()
            arrays += [images, torch.tensor(half.targets, dtype=torch.uint8)]
    except (OSError, RuntimeError) as error:
        if damaged:
            raise Mistake(
                f"the files in {root / dataset.base_folder} are damaged or missing; delete that "
                "folder, so that it is downloaded again"
            ) from error
        return None
    finally:
        socket.setdefaulttimeout(timeout)
    return arrays[0], arrays[1], arrays[2], arrays[3]
