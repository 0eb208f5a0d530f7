"""The folder is the registry: one file is one method or one dataset."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from distill.mistake import unknown


def names(folder: str) -> list[str]:
    """Names of the modules in `distill/<folder>`, without importing any of them."""
    return sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent / folder)]))


def require(folder: str, name: str, *, what: str | None = None) -> str:
    """`name`, if there is such a file; `what` is what the message calls it.

    Raises:
        Mistake: there is none; the message lists the names there are.
    """
    if name not in names(folder):
        raise unknown(what or folder.removesuffix("s"), name, names(folder))
    return name


def load(folder: str, name: str) -> ModuleType:
    """The module `distill.<folder>.<name>`.

    Raises:
        Mistake: no such file; the message lists the names there are.
    """
    require(folder, name)
    return importlib.import_module(f"distill.{folder}.{name}")
