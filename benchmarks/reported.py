"""Published figures: read from `reported.csv`, checked cell by cell, matched by their protocol."""

import csv
import dataclasses
import io
import re
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from distill.runtime import reading
from distill.runtime.mistake import Mistake

EXPERIMENTS = ("classification", "continual", "nas", "cost")
METRICS = {
    **dict.fromkeys(("accuracy", "performance"), (0.0, 100.0)),
    **dict.fromkeys(("spearman", "spearman_top"), (-1.0, 1.0)),
    **dict.fromkeys(("spearman_top5", "spearman_top10", "spearman_top20"), (-1.0, 1.0)),
    **dict.fromkeys(("minutes", "minutes_top", "seconds_per_step"), (0.0, 1e9)),
    **dict.fromkeys(("images", "memory_mb"), (0.0, 1e9)),
}
"""What is reported, with its smallest and largest possible value. accuracy, performance: per cent.
_top: among the best fifth of the networks; _top5: among the best five."""


@dataclasses.dataclass(frozen=True)
class Reported:
    """One published figure and the protocol it was published under; None: not published.

    Attributes:
        experiment: one of `EXPERIMENTS`.
        dataset: as the suite names it; None where the source does not say.
        ipc: images a class; None of the whole dataset.
        method: as the suite names it.
        metric: one of `METRICS`.
        classes: classes seen, of class-incremental figures.
        value: in the metric's unit. std: its published deviation.
        by: `authors`, the figure that stands for the method: its authors' or, where those are not
            known, that of the first table that prints it. `others`: what others printed or got.
        network: the judging network, as far as it is stated: `convnet-d3-w128`, `convnet-d3`.
        norm: `instance` or `batch`. zca: whether the data were whitened.
        epochs: of the judging network. recipe: of its training. `dm`: SGD, rate 0.01 that falls to
            a tenth at half, momentum 0.9, weight decay 5e-4, with DSA. `dc`: the same without DSA.
        steps, strategy: of class-incremental learning.
        sets, networks: how many distilled sets the mean is over, and networks trained on each.
        factor: 1, or 2 where a slot holds several smaller images (2 x 2).
        labels: `hard` or `soft`.
        source: where it is printed; for others', who got it.
        note: what a reader should know, e.g. that it was read off a figure.
    """

    experiment: str
    dataset: str | None
    ipc: int | None
    method: str
    metric: str
    classes: int | None
    value: float
    std: float | None
    by: str
    network: str | None
    norm: str | None
    zca: bool | None
    epochs: int | None
    recipe: str | None
    steps: int | None
    strategy: str | None
    sets: int | None
    networks: int | None
    factor: int | None
    labels: str | None
    source: str
    note: str


COLUMNS = tuple(field.name for field in dataclasses.fields(Reported))
_SAME = ("experiment", "ipc", "method", "metric", "classes")
_PROTOCOL = "dataset network norm zca epochs recipe factor labels steps strategy".split()


def location() -> Path:
    """`reported.csv` of the repository, or where a wheel installs it."""
    own = RESULTS / "reported.csv"
    if own.exists():
        return own
    return Path(sysconfig.get_path("data")) / "share" / "distill-suite" / "reported.csv"


def published(
    rows: Sequence[Reported],
    *,
    experiment: str,
    dataset: str,
    ipc: int | None,
    method: str,
    metric: str,
    network: str | None,
    norm: str | None,
    zca: bool | None,
    epochs: int | None,
    recipe: str | None,
    factor: int | None,
    labels: str | None,
    steps: int | None = None,
    strategy: str | None = None,
    classes: int | None = None,
) -> Reported | None:
    """The authors' figure whose protocol agrees with this run's; None where there is none.

    What a row does not state agrees with anything, what it states must be equal; of the network,
    family, depth and width are compared, as far as the row states them. Of several rows the one
    that states most is taken, the first in the file of equals.

    Args:
        rows: of `read`. The rest: the run's, as in `Reported`; `zca` is a truth value, not a word.
    """
    assert zca is None or isinstance(zca, bool), zca
    run = locals()
    candidates = [
        row
        for row in rows
        if row.by == "authors"
        and all(getattr(row, name) == run[name] for name in _SAME)
        and all(_agrees(name, getattr(row, name), run[name]) for name in _PROTOCOL)
    ]
    return max(candidates, key=_stated, default=None)


def others(rows: Sequence[Reported], same: Reported) -> list[Reported]:
    """What others printed or got for the figure `same`, in the order of the file.

    It is the same figure if it is of the same cell, steps and strategy, and if network and factor
    do not contradict each other; norm, epochs, recipe and the rest of the protocol may differ.
    """
    exact = (*_SAME, "dataset", "steps", "strategy")
    return [
        row
        for row in rows
        if row.by == "others"
        and all(getattr(row, name) == getattr(same, name) for name in exact)
        and all(
            _agrees(name, getattr(row, name), getattr(same, name))
            or _agrees(name, getattr(same, name), getattr(row, name))
            for name in ("network", "factor")
        )
    ]


def _agrees(name: str, stated: Any, wanted: Any) -> bool:
    """Whether what a row states of its protocol agrees with what is wanted."""
    if stated is None or stated == wanted:
        return True
    if name != "network" or wanted is None:
        return False
    pairs = zip(_parts(stated), _parts(wanted), strict=True)
    return all(part is None or part == of_run for part, of_run in pairs)


def _parts(network: str) -> tuple[str, str | None, str | None]:
    """Family, depth and width in a network's name: convnet, d3, w128."""
    family, *words = network.split("-")
    depth = next((word for word in words if re.fullmatch(r"d[0-9]+", word)), None)
    width = next((word for word in words if re.fullmatch(r"w[0-9]+", word)), None)
    return family, depth, width


def _stated(row: Reported) -> int:
    """How much of its protocol a row states; a network counts once for each part it states."""
    facts = [getattr(row, name) for name in _PROTOCOL if name != "network"]
    facts += _parts(row.network) if row.network else []
    return sum(fact is not None for fact in facts)


def read(path: Path) -> list[Reported]:
    """All figures in a file, in its order.

    Raises:
        Mistake: no such file, or it is damaged: not UTF-8, not a table of `COLUMNS`, a cell that
            cannot be, a figure twice. Names file, line and column.
    """
    lines = _lines(path)
    number, header = next(lines, (1, []))
    missing = [name for name in COLUMNS if name not in header]
    if missing or len(header) != len(COLUMNS):
        raise Mistake(
            f"{path}, line {number}: the columns must be {','.join(COLUMNS)}, each once"
            f"{'; missing: ' + ', '.join(missing) if missing else ''}"
        )
    rows: dict[Reported, tuple[int, Reported]] = {}
    for number, cells in lines:
        if len(cells) != len(COLUMNS):
            counts = f"{len(cells)} cells for {len(COLUMNS)} columns, the last '{header[-1]}'"
            raise Mistake(f"{path}, line {number}: {counts}; put text with commas in quotes")
        row = _row(f"{path}, line {number}", dict(zip(header, cells, strict=True)))
        first, _ = rows.setdefault(_figure(row), (number, row))
        if first != number:
            where = f"{path}, line {number}, column 'value'"
            raise Mistake(f"{where}: the same figure stands in line {first}; keep one")
    return [row for _, row in rows.values()]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of every row, with the number of the line the row ends in."""
    try:
        text = reading.whole(path).decode("utf-8")
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error.strerror}; give a reported.csv") from error
    except UnicodeDecodeError as error:
        raise Mistake(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    if not text.endswith("\n"):
        raise Mistake(f"{path}: its last line is not ended; the file has been cut, restore it")
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in table:
            yield table.line_num, cells
    except csv.Error as error:
        raise Mistake(f"{path}, line {table.line_num}: no CSV ({error}); restore it") from error


def _row(where: str, cells: dict[str, str]) -> Reported:
    """The typed row; `where` names file and line."""
    values = {}
    for name, cell in cells.items():
        try:
            values[name] = CELLS[name](cell)
        except ValueError as error:
            raise Mistake(f"{where}, column '{name}': {cell[:40]!r} is not {error}") from error
    row = Reported(**values)
    low, high = METRICS[row.metric]
    if not low <= row.value <= high:
        limits = f"from {low:g} to {high:g}, as {row.metric} is"
        raise Mistake(f"{where}, column 'value': {cells['value']!r} is not a number {limits}")
    return row


def _figure(row: Reported) -> Reported:
    """Equal for rows that state one figure twice: two of the authors', or two of one source."""
    source = "" if row.by == "authors" else row.source
    return dataclasses.replace(row, value=0.0, std=None, note="", source=source)


def _as(pattern: str, kind: Callable[[str], Any], accepted: str) -> Callable[[str], Any]:
    """A check of a cell: it must match the whole pattern, and is turned into `kind`."""

    def check(cell: str) -> Any:
        if not re.fullmatch(pattern, cell):
            raise ValueError(accepted)
        return kind(cell)

    return check


def _one_of(*accepted: str) -> Callable[[str], Any]:
    return _as("|".join(accepted), str, f"one of {', '.join(accepted)}")


def _or_none(check: Callable[[str], Any], unstated: str = "") -> Callable[[str], Any]:
    return lambda cell: None if cell == unstated else check(cell)


def _text(cell: str) -> str:
    if not cell.isprintable() or cell != cell.strip():
        raise ValueError("plain text on one line")
    return cell


_WORD = _as(r"[a-z0-9]+([-+_][a-z0-9]+)*", str, "a name in small letters and digits, as in 'idc-i'")
_COUNT = _as(r"[1-9][0-9]{0,8}", int, "a whole number of 1 or more")
_PLAIN = r"[0-9]{1,9}(\.[0-9]{1,6})?"

CELLS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("dataset", "network", "recipe", "strategy"), _or_none(_WORD)),
    **dict.fromkeys(("ipc", "classes", "epochs", "steps", "sets", "networks"), _or_none(_COUNT)),
    "experiment": _one_of(*EXPERIMENTS),
    "method": _WORD,
    "metric": _one_of(*METRICS),
    "value": _as("-?" + _PLAIN, float, "a decimal number"),
    "std": _or_none(_as(_PLAIN, float, "a decimal number of 0 or more, or empty")),
    "by": _one_of("authors", "others"),
    "norm": _or_none(_one_of("instance", "batch"), "unknown"),
    "zca": _or_none(_as("yes|no", "yes".__eq__, "one of yes, no, unknown"), "unknown"),
    "factor": _or_none(_as("[12]", int, "1, 2 or empty")),
    "labels": _or_none(_one_of("hard", "soft")),
    "source": _as(r"\S(.*\S)?", _text, "a source: where the figure is printed"),
    "note": _text,
}
"""Of every column: turns a cell into its value, or says in a ValueError what it is not."""
