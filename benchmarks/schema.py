"""What records are made of: plain facts whose types are checked, and what all kinds share."""

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import pydantic

from distill.runtime import identity, registry

if TYPE_CHECKING:
    from distill.plan import Plan
    from distill.synthetic import SyntheticSet

T = TypeVar("T")
Versions = list[tuple[str, int, int]]
"""What something was made with: its name, its VERSION then, and today's."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def facts(cls: type[T]) -> type[T]:
    """A frozen keyword-only dataclass whose types are checked when it is read from JSON."""
    cls.__pydantic_config__ = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


@facts
class Making:
    """How the sets of a run are made: the part of a cell that all kinds share.

    Attributes:
        method, version: of distill/methods, and its VERSION. config: fields not at their defaults.
        ipc: images a class. seed: of the run; set s has the seed derived for it.
        sets: how many.
    """

    method: str
    version: int
    config: dict[str, Any]
    ipc: int
    seed: int
    sets: int


@facts
class Dataset:
    """The images of a run: a name, VERSION and what DSA leaves out, and the digest of all images.

    Attributes:
        judged_on: `test`, or `validation`: a part of the training images, for making choices.
    """

    name: str
    version: int
    without: list[str]
    digest: str
    judged_on: str = "test"


@facts
class SetUsed:
    """A set that a run used: its content's digest, and what making it took.

    Attributes:
        seconds: wall clock; classes made side by side count each their own.
        core_seconds: of all cores together; 0 if not known.
    """

    seed: int
    digest: str
    seconds: float
    images: int
    bytes: int
    core_seconds: float = 0.0


def versions(making: Making | None, dataset: Dataset) -> Versions:
    """Of what all kinds of records are made with."""
    known = registry.names("distill.datasets")
    own = [("distill.datasets", dataset.name, dataset.version)] if dataset.name in known else []
    if making is not None:
        own.append(("distill.methods", making.method, making.version))
    modules = [(name, then, registry.load(package, name)) for package, name, then in own]
    return [
        (name, then, module.VERSION if hasattr(module, "VERSION") else module.ABOUT.version)
        for name, then, module in modules
    ]


@facts
class Spent:
    """Wall-clock seconds by stage, and the most memory held, in MB."""

    seconds: dict[str, float]
    peak_mb: int
    gpu_mb: int | None = None


@facts
class Hardware:
    """Where a run took place."""

    cpu: str
    cores: int
    threads: int
    device: str
    gpu: str | None


@facts
class Provenance:
    """How to make the run again: the command, the code, the libraries, the machine."""

    command: str
    date: str
    commit: str | None
    clean: bool | None
    python: str
    versions: dict[str, str | None]
    hardware: Hardware


def making(plan: "Plan", *, seed: int, sets: int) -> Making:
    """The part of a cell that says how sets are made."""
    return Making(
        method=plan.method,
        version=plan.module.VERSION,
        config=identity.changed(plan.config),
        ipc=plan.ipc,
        seed=seed,
        sets=sets,
    )


def set_used(small: "SyntheticSet") -> SetUsed:
    """What a record says of a set."""
    return SetUsed(
        seed=small.made.seed,
        digest=small.digest(),
        seconds=round(small.made.seconds, 3),
        images=len(small.images),
        bytes=small.stored_bytes,
        core_seconds=round(small.made.core_seconds, 3),
    )
