"""What goes through torch.compile: fewer passes over memory, and rounding of its own."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from distill.augment import OPERATIONS, Draw, at_once, augment
from distill.networks import Network

WORTH_COMPILING = 1e12
"""FLOPs from which on the compiler's 10 to 25 seconds come back."""
LIMIT = 10_000
"""Networks and shapes that one process may compile. Beyond torch's own limit of 8 it computes
uncompiled without a word, and figures would depend on what was compiled before."""

SAID: set[str] = set()
"""What this process has been told of a compiler that fails: once is enough."""

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

    compiled = _compiled(laid_out)
    return compiled if _succeeds(lambda: trial(compiled), say) else function


def fused_augment(
    operations: Sequence[str],
    shape: Sequence[int],
    device: torch.device,
    say: Callable[[str], None],
) -> Callable[[Tensor, Draw], Tensor]:
    """`augment` in a few passes: for a GPU, that waits for its calls from Python.

    Args:
        operations: that may be drawn, with numbers for a whole group. shape: of the images that
            come, [G, B, C, H, W]. say: is told in a line where it fails.
    """
    used = tuple(OPERATIONS.index(name) for name in operations)
    compiled = _compiled(at_once)

    def fused(images: Tensor, drawn: Draw) -> Tensor:
        operation = drawn.operation.to(images.device)
        return compiled(images, operation, drawn.numbers, used)

    def trial() -> None:
        images = torch.zeros(*shape, device=device, requires_grad=True)
        numbers = torch.zeros(shape[0], 1, 3, device=device)
        shown = fused(images, Draw(torch.zeros(shape[0], dtype=torch.int64), numbers))
        torch.autograd.grad(shown.sum(), images)
        fused(images.detach(), Draw(torch.zeros(shape[0], dtype=torch.int64), numbers))

    return fused if _succeeds(trial, say) else augment


def _compiled(function: Function) -> Function:
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = LIMIT
    return torch.compile(function, dynamic=False)


def _succeeds(trial: Callable[[], object], say: Callable[[str], None]) -> bool:
    """Whether what is compiled runs; `say` is told in a line, once, where it does not."""
    try:
        trial()
    except Exception as failure:  # whatever the compiler of this machine raises
        reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        if reason not in SAID:
            say(f"torch.compile fails here, so it is left out: {reason}")
        SAID.add(reason)
        return False
    return True
