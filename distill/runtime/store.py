"""Named tensors in files that say what they are: safetensors, never pickle, with a digest inside.

`write` and `read` are for one file; a `Store` is a folder of finished pieces of work that are found
again by their identity.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from distill.runtime import identity, origin, reading
from distill.runtime.files import set_aside, write_atomically
from distill.runtime.mistake import Mistake

Tensors = dict[str, Tensor]
T = TypeVar("T")
MOST = 2**40
"""Bytes of a file, which may hold all images of a set."""


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Write tensors and what they are into one file, whole or not at all; the digest of both.

    Raises:
        Mistake: the folder cannot be written to.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    found = _digest(held, text)
    write_atomically(path, safetensors.torch.save(held, {"facts": text, "digest": found}))
    return found


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and facts of a file that `write` wrote; nothing in it is ever executed.

    Raises:
        FileNotFoundError: no such file.
        Mistake: it cannot be read just now.
        ValueError: it is truncated, damaged or of another kind; the message says which.
    """
    try:
        # At once, so that what is checked is what is used, whatever becomes of the file. The
        # library's own way with a file calls Python from C code, which makes an error of a Ctrl-C.
        content = reading.whole(path, most=MOST)
        held, metadata = safetensors.torch.load(content), _metadata(content)
        digest = _digest(held, metadata.get("facts", ""))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except OSError as error:
        reading.require_lasting(path, error)
        raise ValueError(f"it cannot be read: {error.strerror or error}") from error
    except Exception as error:  # the library raises of several kinds, also for a bad header
        raise ValueError("it is no safetensors file, or a part of one") from error
    if not {"facts", "digest"} <= metadata.keys():
        raise ValueError("it holds no digest, so it is not of this suite")
    if digest != metadata["digest"]:
        raise ValueError("its content does not have the digest it names: it was changed")
    try:
        return held, json.loads(metadata["facts"], parse_constant=reading.no_number)
    except RecursionError as error:
        raise ValueError("its facts are nested beyond measure") from error


def _metadata(content: bytes) -> dict[str, str]:
    """What the head of a whole safetensors file says of it."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]).get("__metadata__") or {}


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    parts = [text.encode()]
    for name, tensor in sorted(tensors.items()):
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return identity.digest(b"\0".join(parts))


@dataclasses.dataclass(frozen=True)
class Store:
    """A folder of finished pieces of work, found again by identity.

    Attributes:
        folder: made when the first piece is kept.
        say: told in one line when a damaged piece is set aside.
    """

    folder: Path
    say: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        origin.ours()  # what is edited from now on is not what makes pieces

    def path(self, name: str, kind: str, facts: identity.Facts) -> Path:
        """Where the piece of that identity lies; `name` is for people."""
        return self.folder / f"{name}-{identity.key(kind, facts)}.safetensors"

    def get(
        self,
        name: str,
        kind: str,
        facts: identity.Facts,
        *,
        of: Callable[[Tensors, dict[str, Any]], T],
    ) -> T | None:
        """The piece of that identity, or None where it has to be made.

        One that uncommitted code made, other than this, is made anew, and its file replaced. A
        damaged file, one that holds another piece, or one of which `of(tensors, about)` raises a
        ValueError, is set aside under another name.

        Raises:
            Mistake: it cannot be set aside.
        """
        path = self.path(name, kind, facts)
        try:
            tensors, held = read(path)
            if not isinstance(held, dict) or held.get("identity") != identity.plain(facts):
                raise ValueError("it holds another piece of work")
            if not origin.usable(held.get("code")):
                return None
            return of(tensors, held.get("facts"))
        except FileNotFoundError:
            return None
        except Mistake:
            raise
        except ValueError as error:
            set_aside(path, error, self.say)
            return None

    def put(
        self,
        name: str,
        kind: str,
        facts: identity.Facts,
        tensors: Mapping[str, Tensor],
        about: Mapping[str, Any],
    ) -> None:
        """Keep a finished piece, with what is to be known `about` it.

        Raises:
            Mistake: the folder cannot be written to.
        """
        held = {"identity": identity.plain(facts), "facts": dict(about)}
        held["code"] = origin.ours().label()
        write(self.path(name, kind, facts), tensors, held)

    def drop(self, name: str, kind: str, facts: identity.Facts) -> None:
        """Delete a piece that is needed no more, if it is there."""
        self.path(name, kind, facts).unlink(missing_ok=True)


def refused(path: Path, error: ValueError, *, what: str, mend: str) -> Mistake:
    """The `Mistake` for a file of a user's that `read` refused."""
    return Mistake(f"{path} is not a whole {what}: {error}; {mend}")
