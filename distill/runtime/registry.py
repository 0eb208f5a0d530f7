"""The folder is the registry: one file (or folder) of a package is one thing by that name."""

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from distill.runtime.mistake import unknown


def names(package: str, *, folders: bool = False) -> list[str]:
    """Names of the modules in `package`, without importing any of them.

    Args:
        package: e.g. `distill.methods`; its own `__init__` is imported.
        folders: the sub-packages instead of the files.

    Names with a leading underscore are helpers and left out.
    """
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(m.name for m in found if m.ispkg == folders and not m.name.startswith("_"))


def require(package: str, name: str, *, what: str | None = None) -> str:
    """`name`, if there is such a file; `what` is what the message calls it.

    Raises:
        Mistake: there is none; the message lists the names there are.
    """
    if name not in names(package):
        what = what or package.rpartition(".")[2].removesuffix("s")
        raise unknown(what, name, names(package))
    return name


def load(package: str, name: str, *, what: str | None = None) -> ModuleType:
    """The module `package.name`, or what `package.UNLISTED` has under that name.

    Raises:
        Mistake: no such file; the message lists the names there are.
    """
    unlisted = getattr(importlib.import_module(package), "UNLISTED", {})
    if name in unlisted:
        return importlib.import_module(unlisted[name])
    require(package, name, what=what)
    return importlib.import_module(f"{package}.{name}")
