"""What every benchmark checks and loads before its work begins."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from distill.images import Data


def load(command: Any) -> tuple["Data", "torch.device"]:
    """The images and the device that a benchmark's command asks for.

    Args:
        command: with dataset, data_root, image_size, ipc, device and out.

    Raises:
        Mistake: no such dataset or device, a folder that cannot be written to, images that are not
            there, or fewer of them than `ipc` a class.
    """
    from distill import datasets, registry
    from distill.device import choose, tune
    from distill.files import require_writable
    from distill.synthetic import require_ipc

    registry.require("datasets", command.dataset)
    device = choose(command.device)
    require_writable(command.out / "records")
    data = datasets.load(command.dataset, root=command.data_root, size=command.image_size)
    require_ipc(data.train, command.ipc)
    tune(device, data.train.shape)
    return data, device
