"""What results/ holds, as functions of the records."""

import re
from pathlib import Path

import pandas as pd

from benchmarks import figures
from benchmarks.frames import label
from benchmarks.nas_frames import proxy
from benchmarks.pages import PAGES, Drawing, Page, groups, markdown
from benchmarks.record import RESULTS, Record, read
from distill.files import write_atomically
from distill.mistake import Mistake

Texts = dict[Path, str]
Drawings = dict[Path, Drawing]


def contents(results: Path) -> tuple[Texts, Drawings]:
    """What results/ must hold: the text of every table, and what every figure shows."""
    records = read([results / "records"])
    reported = published(results)
    named = {
        name: PAGES[members[0].kind](members, reported) for name, members in groups(records).items()
    }
    texts: Texts = {}
    drawings: Drawings = {}
    for name, page in named.items():
        texts[results / "tables" / f"{name}.md"] = page.text
        texts[results / "tables" / f"{name}.csv"] = page.frame.to_csv(index=False)
        for end, drawing in page.drawings.items():
            drawings[results / "figures" / f"{name}{end}.png"] = drawing
    readme = results.parent / "README.md"
    if readme.exists():
        texts[readme] = _with_tables(readme.read_text(), named)
    return texts, drawings


def published(results: Path) -> pd.DataFrame:
    """The published figures."""
    return pd.read_csv(results / "reported.csv", dtype={"ipc": "Int64", "classes": "Int64"})


def _with_tables(text: str, named: dict[str, Page]) -> str:
    """The README with that summary put between every `<!-- table NAME -->` and `<!-- end -->`."""

    def fill(found: re.Match) -> str:
        if found[1] not in named:
            raise Mistake(f"README.md asks for table '{found[1]}', which no record makes")
        return f"<!-- table {found[1]} -->\n{markdown(named[found[1]].summary)}<!-- end -->"

    return re.sub(r"<!-- table (\S+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def stale(results: Path) -> list[Path]:
    """The tables and figures that are not what the records say, or that nothing makes any more."""
    return _stale(results, *contents(results))


def _stale(results: Path, texts: Texts, drawings: Drawings) -> list[Path]:
    wrong = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    wrong += [
        path
        for path, drawing in drawings.items()
        if figures.drawn_from(path) != figures.digest(drawing)
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
            write_atomically(path, figures.draw(drawings[path]))
        else:
            path.unlink()
    return changed


def publish(record: Record, out: Path) -> None:
    """Write a record into `out`, print its row beside those of its protocol, draw their figures.

    Raises:
        Mistake: `out` cannot be written to.
    """
    path = record.write(out / "records")
    there = read([RESULTS / "records", out / "records"])
    ipc = record.cell.get("ipc")
    beside = [
        other
        for other in there
        if other.protocol_key == record.protocol_key
        and (ipc is None or other.cell["ipc"] in (ipc, None))
    ]
    page = PAGES[record.kind](beside, published(RESULTS))
    print(f"\n{page.title}\n")
    name = {"buffer": label, "proxy": proxy}
    marked = []
    for table in page.tables:
        for column in name.keys() & set(table.columns):
            marks = ["->" if row == name[column](record) else "" for row in table[column]]
            marked.append(table.assign(**{" ": marks})[[" ", *table.columns]])
    for table in marked or page.tables:
        print(markdown(table))
    print(f"{page.note}\nrecord: {path}")
    for end, drawing in page.drawings.items():
        figure = out / "figures" / f"{record.name.removesuffix('.json')}{end}.png"
        write_atomically(figure, figures.draw(drawing))
        print(f"figure: {figure}")
