"""Ground truth that records hold already."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.record import Record, read, read_one
from distill.runtime.mistake import Mistake

if TYPE_CHECKING:
    from downstream.nas.trial import Settings


def known(
    truth: "Settings", given: Path | None, folders: Sequence[Path]
) -> dict[str, float | None]:
    """Accuracies (%) on the whole dataset by network, from records of --proxy whole.

    Args:
        truth: how it has to have been made.
        given: the record to take; if None, all in `folders` that fit.

    Raises:
        Mistake: the record given is none of the whole dataset, or made otherwise.
    """
    if given is not None:
        records = [fitting(given, truth)]
    else:
        there = (r for r in read(folders) if r.kind == "nas" and r.cell["method"] == "whole")
        records = [r for r in there if made_as(r) == truth.key()]
    found: dict[str, float | None] = {}
    for record in records:
        found |= dict(zip(record.metrics["names"], record.metrics["accuracies"], strict=True))
    return found


def made_as(record: Record) -> dict[str, Any]:
    """The settings of the trials of a record of the whole dataset."""
    return {**record.protocol["truth"], "seed": record.cell["seed"]}


def fitting(path: Path, truth: "Settings") -> Record:
    """The record at `path`, if it is the ground truth wanted.

    Raises:
        Mistake: it is not; the message names the first difference.
    """
    record = read_one(path)
    if record.kind != "nas" or record.cell["method"] != "whole":
        raise Mistake(f"{path} is no ground truth: it is not a record of --proxy whole")
    theirs, ours = _flat(made_as(record)), _flat(truth.key())
    for name in ours:
        if theirs.get(name) != ours[name]:
            raise Mistake(
                f"{path} was made under another protocol: its {name} is {theirs.get(name)}, here "
                f"it is {ours[name]}; leave --truth out to look for another or train anew"
            )
    return record


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"recipe": {"epochs": 1}}` to `{"recipe.epochs": 1}`."""
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= (
            _flat(part, f"{prefix}{name}.") if isinstance(part, dict) else {prefix + name: part}
        )
    return found
