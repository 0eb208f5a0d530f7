"""Ground truth that records hold already."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.record import Record, read, read_one
from distill.runtime import origin
from distill.runtime.identity import first_difference
from distill.runtime.mistake import Mistake

if TYPE_CHECKING:
    from downstream.nas.trial import TrialSettings


def known(
    truth: "TrialSettings", given: Path | None, folders: Sequence[Path]
) -> dict[str, float | None]:
    """Accuracies (%) on the whole dataset by network, from records of --proxy whole.

    One whose trial failed is tried again, unless the record is given.

    Args:
        truth: how it has to have been made.
        given: the record to take; if None, all in `folders` that fit, of committed code.

    Raises:
        Mistake: the record given is none of the whole dataset, or made otherwise; a damaged record.
    """
    if given is not None:
        records = [fitting(given, truth)]
    else:
        wanted = truth.identity()
        fit = [r for r in read(folders) if _is_whole(r) and made_as(r) == wanted]
        records = [r for r in fit if origin.trusted(r.provenance.clean)]
    accuracies: dict[str, float | None] = {}
    for record in records:
        for name, score in zip(record.results.names, record.results.scores, strict=True):
            if score is not None or given is not None:
                accuracies[name] = score
    return accuracies


def _is_whole(record: Record) -> bool:
    return record.kind == "nas" and record.cell.proxy == "whole"


def made_as(record: Record) -> dict[str, Any]:
    """The identity of the trials of a record of the whole dataset."""
    return {**record.protocol.truth, "seed": record.cell.seed}


def fitting(path: Path, truth: "TrialSettings") -> Record:
    """The record at `path`, if it is the ground truth wanted.

    Raises:
        Mistake: it is not; the message names the first difference.
    """
    record = read_one(path)
    if not _is_whole(record):
        raise Mistake(f"{path} is no ground truth; --truth takes a record of --proxy whole")
    difference = first_difference(truth.identity(), made_as(record))
    if difference is not None:
        raise Mistake(
            f"{path} is the ground truth of other trials ({difference}); leave --truth out to look "
            "for another or train anew"
        )
    if origin.ours().committed and not record.provenance.clean:
        raise Mistake(
            f"{path} was not made from committed code, and would stand in a record that is; leave "
            "--truth out to train anew"
        )
    return record
