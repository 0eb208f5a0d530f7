"""Every table and figure of results/, as functions of the records.

python -m benchmarks.tables            regenerate
python -m benchmarks.tables --check    fail where a committed one is stale
"""

import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks import figures, frames
from benchmarks.record import RESULTS, Record, read
from distill.files import write_atomically
from distill.mistake import Mistake, one_line
from distill.overrides import cli


@dataclasses.dataclass(frozen=True)
class Tables:
    """Regenerate the tables and figures in results/ from results/records and reported.csv."""

    check: bool = False
    """Write nothing; exit with 1 and name what is stale."""
    results: Path = RESULTS
    """The folder with records/, tables/, figures/ and reported.csv."""


# ------------------------------------------------------------------ text


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, aligned so that it reads well as plain text too."""
    cells = [list(frame.columns), *frame.map(_cell).values.tolist()]
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    rule = ["-" * (w - 1) + (":" if n else "-") for w, n in zip(widths, numeric, strict=True)]
    lines = []
    for row in [cells[0], rule, *cells[1:]]:
        padded = [
            cell.rjust(w) if n else cell.ljust(w)
            for cell, w, n in zip(row, widths, numeric, strict=True)
        ]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


CONTINUAL_NOTE = """\
Accuracy in percent, on the test images of all classes seen. final: after the last step, mean over
all runs; ± all: standard deviation over all runs (orders x networks); ± orders: of the orders'
means; ± networks: within an order, mean over the orders. incremental: mean over the steps.
forgetting: best minus last accuracy of the earlier steps' classes. transfer: last minus first
(BWT). KB: the memory's pixels. distil s, train s: wall-clock seconds of the whole run; distil is 0
where the sets were in the cache. commit: of the code; + marks uncommitted changes.
"""


CLASSIFICATION_NOTE = """\
Test accuracy in percent, mean ± standard deviation over all runs, i.e. seeds of the set x networks
trained on each. verdict: agrees, if reported and reproduced differ by no more than the sum of their
deviations. distil s, train s: wall-clock seconds of all runs together.
"""


def describe(record: Record) -> str:
    """The protocol of a class-incremental record in one line."""
    p = record.protocol
    recipe = p["recipe"]
    return (
        f"{p['dataset']}, {p['steps']} steps, {p['strategy']}: {p['orders']} class orders x "
        f"{p['networks']} network{'s' * (p['networks'] > 1)}, {p['network']}, "
        f"{recipe['epochs']} epochs, batch {recipe['batch']}, seed {p['seed']}"
    )


def made_with(records: Sequence[Record]) -> str:
    """The commands that the records came from."""
    commands = sorted({record.provenance["command"] for record in records})
    return "\n".join(["Made with:\n", *(f"    {command}" for command in commands), ""])


def continual_text(records: Sequence[Record], frame: pd.DataFrame) -> str:
    """The page of one class-incremental protocol; `frame` is its `continual_frame`."""
    return "\n".join(
        [
            f"# {describe(records[0])}\n",
            "Final accuracy (%), mean ± standard deviation over all runs:\n",
            markdown(frames.summary_frame(frame)),
            markdown(frame),
            CONTINUAL_NOTE,
            made_with(records),
        ]
    )


def classification_text(records: Sequence[Record], frame: pd.DataFrame) -> str:
    """The page of networks trained on a set alone; `frame` is its `classification_frame`."""
    return "\n".join(
        [
            "# Accuracy of networks trained on the small set alone\n",
            markdown(frame),
            CLASSIFICATION_NOTE,
            made_with(records),
        ]
    )


# ------------------------------------------------------------------ files


def groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Class-incremental records by the name of their table; no table mixes two protocols."""
    by_key: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "continual":
            by_key.setdefault(record.protocol_key, []).append(record)
    named: dict[str, list[Record]] = {}
    for key, members in sorted(by_key.items()):
        p = members[0].protocol
        name = f"continual-{p['dataset']}-{p['steps']}steps-{p['strategy']}-{key}"
        named[name] = members
    return named


Texts = dict[Path, str]
Drawings = dict[Path, tuple[pd.DataFrame, str]]


def contents(results: Path) -> tuple[Texts, Drawings]:
    """What results/ must hold: the text of every table, and the frame and title of every figure."""
    records = read([results / "records"])
    reported = pd.read_csv(results / "reported.csv", dtype={"ipc": "Int64", "classes": "Int64"})
    named = groups(records)
    texts: Texts = {}
    drawings: Drawings = {}
    for name, members in named.items():
        frame = frames.continual_frame(members, reported)
        texts[results / "tables" / f"{name}.md"] = continual_text(members, frame)
        texts[results / "tables" / f"{name}.csv"] = frame.to_csv(index=False)
        drawings[results / "figures" / f"{name}.png"] = (
            frames.curve_frame(members),
            describe(members[0]),
        )
    classified = [record for record in records if record.kind == "classification"]
    if classified:
        frame = frames.classification_frame(classified, reported)
        texts[results / "tables" / "classification.md"] = classification_text(classified, frame)
        texts[results / "tables" / "classification.csv"] = frame.to_csv(index=False)
    readme = results.parent / "README.md"
    if readme.exists():
        texts[readme] = _with_tables(readme.read_text(), named)
    return texts, drawings


def _with_tables(text: str, named: dict[str, list[Record]]) -> str:
    """The page with that summary put between every `<!-- table NAME -->` and `<!-- end -->`."""

    def fill(found: re.Match) -> str:
        if found[1] not in named:
            raise Mistake(f"README.md asks for table '{found[1]}', which no record makes")
        table = markdown(frames.summary_frame(frames.continual_frame(named[found[1]])))
        return f"<!-- table {found[1]} -->\n{table}<!-- end -->"

    return re.sub(r"<!-- table (\S+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def stale(results: Path) -> list[Path]:
    """The tables and figures that are not what the records say, or that nothing makes any more."""
    return _stale(results, *contents(results))


def _stale(results: Path, texts: Texts, drawings: Drawings) -> list[Path]:
    wrong = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    wrong += [
        path
        for path, drawing in drawings.items()
        if figures.drawn_from(path) != figures.digest(*drawing)
    ]
    there = {*(results / "tables").glob("*"), *(results / "figures").glob("*")}
    return sorted([*wrong, *(there - texts.keys() - drawings.keys())])


def regenerate(results: Path) -> list[Path]:
    """Write what is stale, remove what nothing makes any more, and return those paths."""
    texts, drawings = contents(results)
    changed = _stale(results, texts, drawings)
    for path in changed:
        if path in texts:
            write_atomically(path, texts[path].encode())
        elif path in drawings:
            write_atomically(path, figures.curves(*drawings[path]))
        else:
            path.unlink()
    return changed


def show(record: Record, folders: Sequence[Path], out: Path) -> Path:
    """Print the table of a record's cell beside every record of its protocol; draw its figure."""
    records = [r for r in read(folders) if r.protocol_key == record.protocol_key]
    same_ipc = [r for r in records if r.cell["ipc"] == record.cell["ipc"]]
    frame = frames.continual_frame(same_ipc)
    frame.insert(0, "", ["->" if b == frames.label(record) else "" for b in frame["buffer"]])
    print(f"\n{describe(record)}\n\n{markdown(frame)}\n{CONTINUAL_NOTE}")
    path = out / "figures" / f"{record.name.removesuffix('.json')}.png"
    write_atomically(path, figures.curves(frames.curve_frame(same_ipc), describe(record)))
    return path


def main(command: Tables) -> int:
    """Regenerate or check; the exit code."""
    if not (command.results / "reported.csv").exists():
        raise Mistake(f"no reported.csv in {command.results}; --results takes the results folder")
    if command.check:
        wrong = stale(command.results)
        for path in wrong:
            print(f"stale: {path}; run python -m benchmarks.tables", file=sys.stderr)
        return 1 if wrong else 0
    for path in regenerate(command.results):
        print(path)
    return 0


if __name__ == "__main__":
    with one_line():
        sys.exit(main(cli(Tables, sys.argv[1:], prog="python -m benchmarks.tables")))
