"""One command on several processes or machines at once, as torchrun starts it: its ranks.

All ranks run the same command. They compare what it depends on, meet where work is shared out or
results are exchanged, and end together; rank 0 alone prints and writes what the command is for.
Without torchrun there is one rank, and nothing here does anything.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distill.runtime import ending, marks
from distill.runtime.launch import Part, connect, end, leave, surroundings, until
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Forward, Progress
from distill.runtime.ties import PATIENCE

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
MOST = 2**26
"""Bytes that a rank may send the others at once."""
ALIKE = "start all with the same command, code and data"
_part: Part | None = None


def world() -> int:
    """How many ranks do this command."""
    return _part.world if _part else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return _part.rank if _part else 0


def leading() -> bool:
    """Whether this is the rank that prints and writes."""
    return rank() == 0


def local() -> tuple[int, int]:
    """Which of this machine's ranks this is, and how many it has."""
    return (_part.local, _part.here) if _part else (0, 1)


def progress() -> Progress:
    """What is shown of this rank: of rank 0 all, of the others warnings, through rank 0."""
    return Progress(sys.stderr) if leading() else Forward(lambda *step: None, _pass_on)


# ------------------------------------------------------------------ beginning and end


@contextlib.contextmanager
def led() -> Iterator[None]:
    """Around a whole command: its ranks end together, and only rank 0 says why.

    Raises:
        Mistake: an environment in which there cannot be several ranks; or another rank's.
    """
    global _part
    _part = surroundings()
    if _part is None:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        with contextlib.ExitStack() as silence:
            if not leading():
                nowhere = silence.enter_context(open(os.devnull, "w"))
                silence.enter_context(contextlib.redirect_stdout(nowhere))
            yield
        leave(_part)
    except BaseException as error:
        end(_part, error)
    finally:
        _part = None


# ------------------------------------------------------------------ meetings


def meet(folder: Path) -> None:
    """Meet the other ranks, and see that a folder that is there is the same one for all.

    Raises:
        Mistake: it is not, or ranks are missing.
    """
    if _part is None:
        return
    connect(_part)
    with _token(folder) if leading() else contextlib.nullcontext() as token:
        token = decided(lambda: token)
        with contextlib.suppress(TimeoutError):  # a network's disk may be slow to show it
            until(lambda: token in os.listdir(folder), longest=PATIENCE)
        seen = exchange((socket.gethostname(), token in os.listdir(folder)))
    for number, (host, sees) in enumerate(seen):
        if not sees:
            raise Mistake(
                f"rank {number} on {host} does not see the folder {folder} of rank 0; give an "
                "--out on a disk that all ranks share"
            )


@contextlib.contextmanager
def _token(folder: Path) -> Iterator[str]:
    """The name of a file that is in the folder meanwhile, and was never in any other."""
    path = folder / f".ranks.{marks.mark()}.{secrets.token_hex(8)}"
    ending.TEMPORARY.add(str(path))
    try:
        path.touch()
        yield path.name
    finally:
        path.unlink(missing_ok=True)
        ending.TEMPORARY.discard(str(path))


@contextlib.contextmanager
def in_turn() -> Iterator[None]:
    """One rank of each machine does it before the others: they find what it downloads."""
    if _part is None:
        yield
        return
    key = f"turn/{os.environ.get('GROUP_RANK', '0')}"
    if _part.local > 0:
        until(lambda: _part.store.check([key]))
    yield
    if _part.local == 0:
        _part.store.set(key, "over")


def agreement(command: Any, flags: Sequence[str], compute: Any, **facts: Any) -> dict[str, str]:
    """What must be the same on all ranks: each flag, the code, how is computed, and these facts."""
    if _part is None:
        return {}
    from distill.runtime import work

    given = {f"--{name.replace('_', '-')}": v for name, v in dataclasses.asdict(command).items()}
    own = {
        "the method's flags": " ".join(flags),
        "the code": work.code(),
        "the kind of device": compute.device.type,
        "the precision": compute.precision,
    }
    return {name: str(value) for name, value in (given | own | facts).items()}


def join(agreement: Mapping[str, str]) -> None:
    """Compare what is to be the same on all ranks.

    Raises:
        Mistake: it is not; on every rank.
    """
    ours, *others = exchange(dict(agreement))
    for number, theirs in enumerate(others, start=1):
        for name in [*ours, *theirs]:
            if ours.get(name) != theirs.get(name):
                raise Mistake(
                    f"the ranks do not agree on {name}: {theirs.get(name)} on rank {number}, "
                    f"{ours.get(name)} on rank 0; {ALIKE}"
                )


def exchange(value: T, *, meanwhile: Callable[[], None] | None = None) -> list[T]:
    """Every rank's value, in their order, on every rank; by way of JSON, where ranks are several.

    Args:
        value: as JSON knows it; a tuple arrives as a list.
        meanwhile: called now and then while others are not there yet.

    Raises:
        Mistake: a rank sends something else, or too much; on every rank.
    """
    if _part is None:
        return [value]
    import torch

    _gather(_part, meanwhile)
    own = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    sizes = [int(size) for size in _all(torch.tensor([len(own)]))]
    for number, size in enumerate(sizes):
        if not 0 < size <= MOST:
            raise Mistake(f"rank {number} sends {size} bytes, and 1 to {MOST} are taken; {ALIKE}")
    padded = own.new_zeros(max(sizes))
    padded[: len(own)] = own
    parts = zip(_all(padded), sizes, strict=True)
    return [_read(number, part[:size]) for number, (part, size) in enumerate(parts)]


def _read(number: int, sent: "Tensor") -> Any:
    """What a rank has sent.

    Raises:
        Mistake: it is no JSON.
    """
    try:
        return json.loads(sent.numpy().tobytes())
    except (ValueError, RecursionError) as error:
        raise Mistake(f"rank {number} sends something else than JSON ({error}); {ALIKE}") from error


def decided(decide: Callable[[], T]) -> T:
    """What rank 0 decides, on every rank, as `exchange` has it; the others are not asked."""
    if _part is None:
        return decide()
    return exchange(decide() if leading() else None)[0]


def _all(tensor: "Tensor") -> list["Tensor"]:
    """Every rank's tensor, of one shape."""
    gathered = [tensor.new_empty(tensor.shape) for _ in range(_part.world)]
    _part.gloo.allgather([gathered], [tensor]).wait()
    return gathered


def _gather(part: Part, meanwhile: Callable[[], None] | None = None) -> None:
    """Wait for all ranks where signals are heard, as they are not in a call of gloo's."""
    connect(part)
    part.meetings += 1
    key = f"meeting/{part.meetings}"
    part.store.add(key, 1)
    until(lambda: part.store.add(key, 0) >= part.world, meanwhile=meanwhile)


# ------------------------------------------------------------------ what is shown


class Others:
    """What other ranks do in one stage, as rank 0 shows it."""

    def __init__(self, finished: Callable[[int], None], say: Callable[[str], None]) -> None:
        """`finished` is told how much others have done in all, `say` their warnings."""
        self._finished, self._say, self._own = finished, say, 0
        _part.stages += 1
        self._key = f"stage/{_part.stages}"

    def told(self, count: int) -> None:
        """This rank has done so many more of what is counted."""
        self._own += count
        _part.store.add(self._key, count)
        self.look()

    def look(self) -> None:
        """See what the others have done."""
        if not leading():
            return
        self._finished(_part.store.add(self._key, 0) - self._own)
        while _part.store.check([f"said/{_part.lines + 1}"]):
            _part.lines += 1
            self._say(_part.store.get(f"said/{_part.lines}").decode())


def _pass_on(line: str) -> None:
    if line.startswith("warning"):  # what else a rank says, rank 0 says too
        number = _part.store.add("said", 1)
        _part.store.set(f"said/{number}", f"rank {_part.rank}: {line}")
