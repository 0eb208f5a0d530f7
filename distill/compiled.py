"""What goes through torch.compile: fewer passes over memory, and rounding of its own."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from distill.networks import Network

WORTH_COMPILING = 1e12
"""FLOPs from which on the compiler's 10 to 25 seconds come back."""
LIMIT = 10_000
"""Networks and shapes that one process may compile. Beyond torch's own limit of 8 it computes
uncompiled without a word, and figures would depend on what was compiled before."""

Function = TypeVar("Function", bound=Callable)


def fused(
    function: Function, trial: Callable[[Function], object], say: Callable[[str], None]
) -> Function:
    """`function` of a network, images [B, C, H, W] and what else there is, through torch.compile.

    Where that fails, it is left as it is. The images are laid out as convolutions want them,
    channels last: the compiler does so in any case, and of images laid out otherwise it turns what
    is kept for the way back around one number at a time, a quarter of a synthetic side at width
    128.

    Args:
        trial: calls it once, and back if it is to go back, so that what fails does so now.
        say: is told in a line where it fails.
    """

    def laid_out(network: Network, images: Tensor, *others: Tensor) -> Any:
        return function(network, images.contiguous(memory_format=torch.channels_last), *others)

    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = LIMIT
    compiled = torch.compile(laid_out, dynamic=False)
    try:
        trial(compiled)
    except Exception as failure:  # whatever the compiler of this machine raises
        reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        say(f"torch.compile fails here, so it is left out: {reason}")
        return function
    return compiled
