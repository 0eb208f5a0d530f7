"""A user's file that holds an NNI `ModelSpace`: read, and executed.

The file is the user's own code, and it is executed: when a command begins, and in each process that
tries its networks, which is sent the file's text. No other code of a user's is. NNI is imported
only then.
"""

import dataclasses
import functools
import linecache
import random
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.runtime import identity
from distill.runtime.mistake import Mistake, short

if TYPE_CHECKING:
    from nni.nas.nn.pytorch import ModelSpace


@dataclasses.dataclass(frozen=True)
class SpaceFile:
    """A user's file that holds a search space.

    Attributes:
        name: of the file, without its folder. text: all of it.
    """

    name: str
    text: str

    @property
    def digest(self) -> str:
        """Of the text."""
        return identity.digest(self.text.encode())

    @property
    def label(self) -> str:
        """What tables call the space: the file's name, and which text of it."""
        return f"{self.name.removesuffix('.py')}@{self.digest[:6]}"


def is_file(given: str) -> bool:
    """Whether --space names a file, rather than a space of ours."""
    return given.endswith(".py") or "/" in given


def read(path: Path) -> SpaceFile:
    """The file at `path`; nothing is executed.

    Raises:
        Mistake: there is no such file, or it is no text.
    """
    try:
        return SpaceFile(path.name, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Mistake(
            f"--space {path}: {error.strerror}; give a Python file that holds an NNI ModelSpace, "
            "see docs/search.md"
        ) from error
    except UnicodeDecodeError as error:
        raise Mistake(
            f"--space {path} is no text; give a Python file that holds an NNI ModelSpace"
        ) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The user's code draws from torch's own generator, numpy's and Python's.

    There is no other way to seed it. Afterwards they are as they were.
    """
    python, numpys = random.getstate(), np.random.get_state()
    try:
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.set_state(np.random.MT19937(seed).state)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpys)


@functools.lru_cache(maxsize=8)
def model_space(source: SpaceFile) -> "type[ModelSpace]":
    """Execute the file and return the one class in it that is derived from `ModelSpace`.

    Raises:
        Mistake: an error in it, with its line; no such class, or several.
    """
    from nni.nas.nn.pytorch import ModelSpace

    module = types.ModuleType(f"own_space_{source.digest}")
    sys.modules[module.__name__] = module
    lines = source.text.splitlines(keepends=True)
    linecache.cache[source.name] = len(source.text), None, lines, source.name
    with explained(source, "cannot be imported"):
        exec(compile(source.text, source.name, "exec"), module.__dict__)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ModelSpace)
        and value.__module__ == module.__name__
    ]  # fmt: skip
    if len(classes) != 1:
        names = ", ".join(own.__name__ for own in classes)
        held = f"holds several ({names})" if classes else "holds none"
        raise Mistake(
            f"--space {source.name} must hold one class derived from nni.nas.nn.pytorch.ModelSpace "
            f"and {held}; see examples/search_space.py"
        )
    return classes[0]


@contextmanager
def explained(source: SpaceFile, what: str) -> Iterator[None]:
    """Say what the user's code raised, and in which line of the file.

    Raises:
        Mistake: it raised something.
    """
    try:
        yield
    except Mistake:  # ours, of the file as a whole
        raise
    except (Exception, SystemExit) as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == source.name
        ]
        if isinstance(error, SyntaxError) and error.filename == source.name:
            lines.append(error.lineno)
        where = f" line {lines[-1]}" if lines else ""
        said = short(f"{type(error).__name__}: {error}", 200)
        raise Mistake(f"--space {source.name}{where}: {what} ({said}); mend that line") from error
