"""What results/ shows of costs."""

from collections.abc import Sequence

import pandas as pd

from benchmarks.cost import estimates, facts, figures
from benchmarks.made_with import made_with
from benchmarks.page import Drawing, Page, Table, counted, names_for_people
from benchmarks.record import Record
from benchmarks.reported import Reported

WHOLE = (
    "A set of 1,000 classes x 50 images of 64x64: these times how often each comes. More than two "
    f"cores, and GPUs, were not measured; a GPU is taken to do {estimates.GPU:.0f} TFLOP/s of it."
)


def pages(records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Page]:
    """A page for each part, device and number of threads: its latest record."""
    named = names_for_people(records, _name)
    return {name: _page(max(own, key=_when)) for name, own in named.items()}


def _name(record: Record) -> str:
    return f"cost-{facts.name(record.protocol, record.cell)}"


def _when(record: Record) -> tuple[str, str]:
    """Dates are ISO in UTC, so they sort as text; the key decides within one second."""
    return record.provenance.date, record.key


def _page(record: Record) -> Page:
    results = record.results
    frame = pd.DataFrame(results.rows)
    drawn = set(figures.COLUMNS) <= set(frame.columns)
    tables = [Table(_read(frame))]
    if record.protocol.part == "scaling" and len(whole := estimates.whole(frame)):
        tables.append(Table(_read(whole), caption=WHOLE))
    return Page(
        title=results.title,
        tables=tables,
        note=f"{results.note}\n{_where(record)}",
        frame=frame,
        summary=tables,
        drawings={"": Drawing(figures.cost_growth, frame, results.title)} if drawn else {},
        commands=made_with([record]),
    )


def _read(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as people read it: three digits, since costs are from 0.02 to 2,000."""
    return frame.apply(lambda own: own.map(_digits) if own.dtype.kind == "f" else own)


def _digits(number: float) -> str:
    """`0.0312`, `6.33`, `42.0`, `1280`."""
    if abs(number) >= 100 or number == 0:
        return f"{number:.0f}"
    return f"{number:#.3g}"


def _where(record: Record) -> str:
    """When, on what and with what it was measured, in one sentence."""
    begun, hardware = record.provenance, record.provenance.hardware
    return (
        f"Measured on {begun.date[:10]}, each thing {_times(record.cell.turns)}: "
        f"{hardware.gpu or hardware.cpu}, {counted(hardware.cores, 'core')}, "
        f"{counted(hardware.threads, 'thread')}, torch {begun.versions['torch']}, "
        f"Python {begun.python}, commit {record.commit}.\n"
    )


def _times(turns: int) -> str:
    return "once" if turns == 1 else f"{turns} times"
