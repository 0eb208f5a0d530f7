"""What results/ holds, as functions of the records, and what of it is stale.

A manifest, results/generated.json, lists every file made here with the digest of its bytes (and of
what a figure shows), so that a file of a user's own is never touched and a changed one is found.
"""

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks import figures, reported
from benchmarks.page import Drawing, Page, in_words
from benchmarks.record import Record, read
from distill.runtime import identity
from distill.runtime.files import write_atomically
from distill.runtime.mistake import Mistake

MANIFEST = "generated.json"
FILES = r"(tables|figures)/[^/]+\.(md|csv|png)"
"""The names that it may hold."""


def pages(records: Sequence[Record], published: Sequence[reported.Reported]) -> dict[str, Page]:
    """The pages of records of any kinds, by name."""
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.kind, []).append(record)
    named: dict[str, Page] = {}
    for kind, members in sorted(kinds.items()):
        own = importlib.import_module(f"benchmarks.{kind}.page").pages(members, published)
        assert not named.keys() & own.keys(), "two pages of one name"
        named |= own
    return named


class Contents:
    """Of a results folder."""

    def __init__(self, results: Path) -> None:
        """Read its records and published figures; `expired` names the records left out.

        Raises:
            Mistake: one of them is damaged.
        """
        self.results = results
        self.expired: list[str] = []
        records = read([results / "records"], say=self.expired.append)
        self.records = len(records)
        self.named = pages(records, reported.read(results / "reported.csv"))
        self.texts: dict[Path, str] = {}
        self.drawings: dict[Path, Drawing] = {}
        for name, page in self.named.items():
            self.texts[results / "tables" / f"{name}.md"] = page.text
            self.texts[results / "tables" / f"{name}.csv"] = page.frame.to_csv(index=False)
            for end, drawing in page.drawings.items():
                self.drawings[results / "figures" / f"{name}{end}.png"] = drawing
        self.readme = results.parent / "README.md"
        if self.readme.exists():
            self.texts[self.readme] = self._with_tables(_text(self.readme))

    def _with_tables(self, text: str) -> str:
        """The README with summaries put between `<!-- table NAME -->` and `<!-- end -->`."""

        def fill(place: re.Match) -> str:
            if place[1] not in self.named:
                raise Mistake(
                    f"{self.readme} asks for table '{place[1]}', which no record makes; there are: "
                    f"{', '.join(self.named)}"
                )
            shown = in_words(self.named[place[1]].summary)
            return f"<!-- table {place[1]} -->\n{shown}<!-- end -->"

        place = r"<!-- table (\S+) -->\n((?!<!-- table ).)*?<!-- end -->"
        filled, places = re.subn(place, fill, text, flags=re.DOTALL)
        if places != text.count("<!-- table "):
            raise Mistake(
                f"{self.readme}: a <!-- table NAME --> is not ended; put <!-- end --> on a line "
                "below each"
            )
        return filled

    def stale(self) -> list[Path]:
        """The files that are not what the records say, or that nothing makes any more."""
        manifest = self._manifest()
        wrong = [path for path, text in self.texts.items() if not _holds(path, text)]
        for path, drawing in self.drawings.items():
            known = manifest.get(self._relative(path), {})
            same = path.exists() and identity.digest(path.read_bytes()) == known.get("bytes")
            if not same or known.get("shows") != figures.digest(drawing):
                wrong.append(path)
        return sorted([*wrong, *self._left_over(manifest)])

    def _left_over(self, manifest: dict[str, dict[str, str]]) -> list[Path]:
        """Files made here once, as they were then, that nothing makes any more."""
        made = {self._relative(path) for path in (*self.texts, *self.drawings)}
        return [
            self.results / name
            for name, known in manifest.items()
            if name not in made
            and (self.results / name).is_file()
            and identity.digest((self.results / name).read_bytes()) == known.get("bytes")
        ]

    def regenerate(self) -> list[Path]:
        """Write what is stale, remove what nothing makes any more, and return those paths."""
        manifest = self._manifest()
        changed = self.stale()
        for path in changed:
            if path in self.texts:
                write_atomically(path, self.texts[path].encode())
            elif path in self.drawings:
                write_atomically(path, figures.draw(self.drawings[path]))
            else:
                path.unlink()
        listed = {}
        for path in (*self.texts, *self.drawings):
            if path == self.readme:
                continue
            listed[self._relative(path)] = {"bytes": identity.digest(path.read_bytes())}
            if path in self.drawings:
                listed[self._relative(path)]["shows"] = figures.digest(self.drawings[path])
        if listed != manifest:
            text = json.dumps(dict(sorted(listed.items())), indent=1)
            write_atomically(self.results / MANIFEST, (text + "\n").encode())
        return changed

    def _relative(self, path: Path) -> str:
        return path.name if path == self.readme else path.relative_to(self.results).as_posix()

    def _manifest(self) -> dict[str, dict[str, str]]:
        path = self.results / MANIFEST
        if not path.exists():
            return {}
        try:
            manifest = json.loads(path.read_bytes())
            inside = all(
                re.fullmatch(FILES, name) and isinstance(known, dict)
                for name, known in manifest.items()
            )
            if not inside:
                raise ValueError("it names files outside tables/ and figures/")
        except (ValueError, AttributeError, RecursionError) as error:
            raise Mistake(
                f"{path} is damaged ({error}); delete it and run python -m benchmarks.tables"
            ) from error
        return manifest


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Mistake(f"{path} is not UTF-8 text ({error}); mend it") from error


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()
