"""Where to compute."""

import torch

from distill.mistake import Mistake


def choose(name: str) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        Mistake: no such device here.
    """
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("mps")
    if name == "auto":
        return torch.device(gpus[0] if gpus else "cpu")
    if name == "cpu" or name in gpus or (name == "cuda" and "cuda:0" in gpus):
        return torch.device(name)
    raise Mistake(
        f"device '{name}' is not there; this machine has: {', '.join(['cpu', *gpus])}"
    )
