"""The section on what is published: beside ours, missing, and why."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.evidence import Estimate
from benchmarks.page import Table, counts, interval
from benchmarks.report import cells, compared, effort
from benchmarks.report.compared import KINDS
from benchmarks.report.document import Block, Section, link, whole_numbers
from benchmarks.reported import Reported

SHOWN = 5
"""The cheapest commands, which stand on the page of all results too."""

HOURS = (
    "Hours by the clock: the arithmetic of the command over the speed of measured steps "
    "(`python -m benchmarks.cost --part step` and `--part training`, on that machine), or of the "
    "longest run there; on few images a GPU takes many times as long. Of a dataset whose files "
    "alone say how many images there are, as of ImageNet's subsets, choosing and testing count "
    "nothing; the trainings on the whole dataset of a search are in the row of `--proxy whole` "
    "alone. A command that is broken off goes on where it was."
)


def blocks(
    beside: Mapping[Reported, cells.Ours],
    published: Sequence[Reported],
    *,
    speeds: Mapping[str, effort.Stages],
    where: Mapping[str, str],
) -> list[Block]:
    """Every published cell once: filled, to be filled by a command, or why by none.

    Args:
        beside: what fills cells. speeds: of machines, by name. where: of `compared.where`.
    """
    missing: dict[cells.Command, list[Reported]] = {}
    lacking: dict[tuple[str, str], int] = collections.Counter()
    for row, command in cells.commands(tuple(published)).items():
        if row not in beside and isinstance(command, str):
            lacking[row.experiment, command] += 1
        elif row not in beside:
            missing.setdefault(command, []).append(row)
    filled = [_beside(row, own, link(where[own.record.key])) for row, own in beside.items()]
    reasons = sorted(lacking.items(), key=lambda item: (-item[1], item[0]))
    why = [
        {"experiment": KINDS.get(kind, kind), "figures": number, "why": why}
        for (kind, why), number in reasons
    ]
    some, commands = sum(map(len, missing.values())), _missing(missing, speeds)
    return [
        f"Figures of the methods' authors: {len(beside)} stand beside a record of ours; {some} are "
        f"missing that {len(missing)} commands fill; {sum(lacking.values())} no command fills.",
        "A verdict is given only where the published protocol is stated whole and is this one, and "
        "the method has its published settings: it agrees if its whole interval lies within 1 "
        "point of the published figure.",
        Table(whole_numbers(pd.DataFrame(filled)), caption="Reported, and ours beside it:"),
        Table(commands.head(SHOWN), caption="What fills the cheapest of the missing ones:"),
        Section(
            "Every missing figure, with the command that fills it and the hours that it takes",
            "missing-figures",
            [HOURS, Table(commands, caption="Missing, the cheapest first:")],
        ),
        Table(pd.DataFrame(why), caption="No command fills these:"),
    ]


def _beside(row: Reported, own: cells.Ours, page: str) -> dict[str, Any]:
    estimate = own.value if isinstance(own.value, Estimate) else None
    measure = f"{row.metric}, {row.classes} classes" if row.classes else row.metric
    return {
        **{"experiment": KINDS[row.experiment], "dataset": row.dataset, "ipc": row.ipc},
        **{"method": row.method, "measure": measure},
        "reported": f"{row.value:g}" + (f" ± {row.std:g}" if row.std is not None else ""),
        "ours": interval(estimate) if estimate else f"{round(own.value, 2):g}",
        "n": counts(estimate) if estimate else None,
        "verdict": own.verdict,
        "settings": "as published" if own.as_published else own.record.label,
        "judge": compared.setting(own.record),
        "": page,
    }


def _missing(
    missing: Mapping[cells.Command, Sequence[Reported]], speeds: Mapping[str, effort.Stages]
) -> pd.DataFrame:
    def takes(command: cells.Command) -> list[float]:
        return [command.effort.hours(own) for own in speeds.values()] if command.effort else []

    rows = []
    for command in sorted(missing, key=lambda own: (takes(own), own.effort or (), own.text)):
        first, hours = missing[command][0], takes(command) or [None] * len(speeds)
        own = {"dataset": first.dataset, "ipc": first.ipc, "method": first.method}
        named = zip(speeds, hours, strict=True)
        own |= {f"hours, {name}": value and _digits(value) for name, value in named}
        figures = ", ".join(f"{row.value:g}" for row in missing[command])
        rows.append(own | {"command": f"`{command.text}`", "reported": figures})
    return whole_numbers(pd.DataFrame(rows))


def _digits(hours: float) -> str:
    """`0.016`, `4.5`, `3,634`."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
