"""Where and how to compute: entered before a set is made and before networks are trained."""

import contextlib
import ctypes
import dataclasses
import functools
import importlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
import torch.nn.functional as F

from distill.runtime import ranks, scratch
from distill.runtime.mistake import Mistake, unknown

SMALL = 16
"""Up to this size in pixels one thread is faster than two: measured for a step on ten 8x8 images
and width 32, 1.8 ms on one thread and 2.9 ms on two."""

_MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -4, -3, -1
"""Of glibc's mallopt."""


FLOAT32, BFLOAT16 = "float32", "bfloat16"
PRECISIONS = ("auto", FLOAT32, BFLOAT16)
COMPILE = ("auto", "always", "never")
SLOW_FROM = (2, 13)
"""From this version on torch convolves bfloat16 4 to 16 times slower on CPUs (its issue 183815)."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """Where and how. Of a thing's identity `precision` is a part, and `deterministic` if it is on.

    Attributes:
        device: of torch.
        threads: on a CPU; None leaves torch's own number.
        precision: of convolutions and matrix products. Images, weights, gradients, the statistics
            of norms, class means and losses are float32 in either.
        compile: whether long work goes through torch.compile: `auto` where that pays.
        deterministic: whether a GPU must give the same bits twice; a CPU does anyway.
    """

    device: torch.device = torch.device("cpu")  # noqa: RUF009  (a device cannot change)
    threads: int | None = None
    precision: str = FLOAT32
    compile: str = "auto"
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS[1:]:
            raise unknown("precision", self.precision, PRECISIONS[1:])
        if self.compile not in COMPILE:
            raise unknown("--compile", self.compile, COMPILE)

    @classmethod
    def of(
        cls,
        name: "str | torch.device",
        shape: Sequence[int],
        *,
        precision: str = "auto",
        compile: str = "auto",
        deterministic: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> "Compute":
        """For images of `shape` (..., H, W) on the device `name`, with as many threads as pay.

        Args:
            say: is told in one line of a precision that costs time here.

        Raises:
            Mistake: no such device here, or it gets bfloat16 wrong and that was asked for.
        """
        if deterministic:
            keep_deterministic(True)  # before anything is computed on a GPU
        device = choose(str(name))
        small = max(shape[-2:]) <= SMALL
        threads = 1 if device.type == "cpu" and small else None
        chosen = choose_precision(precision, device, small=small)
        if chosen == BFLOAT16 and not multiplies_bfloat16(device):
            say(
                f"note: {device} only emulates bfloat16 here, which takes longer than float32; "
                "leave --precision out to have what is fastest"
            )
        # torch would import it at the first optimiser, and an interrupt within imports can be lost.
        importlib.import_module("torch._dynamo")
        return cls(device, threads, chosen, compile, deterministic)

    def enter(self) -> None:
        """Set up this process, whatever it was set to before; it changes rounding at most.

        float32 is float32 from here on, on a GPU too, and not TF32.
        """
        keep_deterministic(self.deterministic)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)  # streams and graphs are the present device's
        keep_memory()
        keep_compiled()
        usual_threads()
        torch.set_num_threads(self.threads or usual_threads())

    def autocast(self) -> AbstractContextManager:
        """Within it convolutions and matrix products have this precision.

        Weights in training are converted once in each context, and their gradients are float32.
        """
        if self.precision == FLOAT32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


CPU = Compute()


def keep_deterministic(asked: bool) -> None:
    """Have torch use deterministic algorithms, and refuse what has none, or leave it as it was.

    cuBLAS reads the size of its workspace when it starts, and needs a fixed one.
    """
    if asked:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    usual = usually_deterministic()
    on, warn_only = (True, False) if asked else usual
    if (on, warn_only) != _deterministic():
        torch.use_deterministic_algorithms(on, warn_only=warn_only)


@functools.cache
def usually_deterministic() -> tuple[bool, bool]:
    """Whether torch was told to be so before this suite told it anything, and to warn alone."""
    return _deterministic()


def _deterministic() -> tuple[bool, bool]:
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warn_only


@functools.cache
def usual_threads() -> int:
    """How many threads torch had before this suite set any; ranks share their machine's cores."""
    threads, (_, ranks_here) = torch.get_num_threads(), ranks.local()
    if "OMP_NUM_THREADS" in os.environ:
        return threads  # of each rank
    return min(threads, max(1, (os.cpu_count() or 1) // ranks_here))


def choose(name: str) -> torch.device:
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.

    The ranks of one machine take a GPU each, and share them where there are fewer.

    Raises:
        Mistake: no such device here.
    """
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("mps")
    if name in ("auto", "cuda") and ranks.world() > 1 and "cuda:0" in gpus:
        return torch.device(f"cuda:{ranks.local()[0] % torch.cuda.device_count()}")
    if name == "auto":
        return torch.device(gpus[0] if gpus else "cpu")
    if name == "cpu" or name in gpus or (name == "cuda" and "cuda:0" in gpus):
        return torch.device(name)
    raise Mistake(f"device '{name}' is not there; this machine has: {', '.join(['cpu', *gpus])}")


def choose_precision(given: str, device: torch.device, *, small: bool = False) -> str:
    """What `auto` stands for: bfloat16 where the processor multiplies it natively.

    It goes by what the processor and this version of torch say of themselves and never by a clock,
    since figures depend on it. `small` images gain nothing and stay float32.

    Raises:
        Mistake: no such precision, or bfloat16 was asked for and this machine gets it wrong.
    """
    if given not in PRECISIONS:
        raise unknown("--precision", given, PRECISIONS)
    if given == "auto":
        native = not small and multiplies_bfloat16(device)
        return BFLOAT16 if native and right_in_bfloat16(device) else FLOAT32
    if given == BFLOAT16 and not right_in_bfloat16(device):
        raise Mistake(f"{device} multiplies bfloat16 wrongly here; give --precision float32")
    return given


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it does so natively, and this version of torch makes it do so."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    return version < SLOW_FROM and torch.cpu._is_avx512_bf16_supported()


@functools.cache
def right_in_bfloat16(device: torch.device) -> bool:
    """A small convolution and its gradients, against float32: within bfloat16's own rounding."""
    draws = torch.Generator().manual_seed(0)
    image = torch.rand(4, 16, 8, 8, generator=draws).to(device)
    weight = torch.rand(16, 16, 3, 3, generator=draws).to(device)
    answers = []
    for autocast in (False, True):
        given = image.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast):
            convolved = F.conv2d(*given, padding=1)
        gradients = torch.autograd.grad(convolved.float().mean(), given)
        answers.append([convolved.detach().float(), *gradients])
    return all(
        torch.allclose(low, high, rtol=0.02, atol=0.02 * float(high.abs().max()))
        for high, low in zip(*answers, strict=True)
    )


def keep_compiled() -> None:
    """Let what torch.compile makes be found again by later processes."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = home / "distill" / "compiled"
    if not (home.is_dir() and os.access(home, os.W_OK)):  # else a temporary one, as torch has it
        folder = scratch.lasting() / f"torchinductor_{os.getuid()}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def keep_memory(keep: bool = True) -> None:
    """Let freed memory stay with the process, or give it back; where the C library is glibc.

    By default glibc gives large blocks back at once, and every activation is then a page fault for
    each 4 KB: a third of a matching step, a fifth of a training step on a CPU.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if allocator is not None:
        allocator(_MMAP_MAX, 0 if keep else 65536)
        allocator(_MMAP_THRESHOLD, 32 << 20)
        allocator(_TRIM_THRESHOLD, (2 << 30) - 1 if keep else 64 << 20)
