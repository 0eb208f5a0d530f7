"""What results/ holds, as functions of the records, and what of it is stale.

A manifest, results/generated.json, lists every file made here with the digest of its bytes (and of
what a figure shows), so that a file of a user's own is never touched and a changed one is found. It
also has the digest of the published figures that the pages were made with.
"""

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks import figures, reported
from benchmarks.page import Drawing, Page, csv, in_words
from benchmarks.record import Record, read
from benchmarks.report import sections, text
from benchmarks.report.document import Figure
from distill.runtime import identity, reading
from distill.runtime.files import write_atomically
from distill.runtime.mistake import Mistake

MANIFEST = "generated.json"
FILES = r"README\.md|(tables|figures)/[^/]+\.(md|csv|png)"
"""The names of what is made."""
PUBLISHED = "reported.csv"


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
        """Read its records and published figures.

        Records that have expired (`expired` has a line each) and those that are not known to be
        made from committed code (`uncommitted` has their names) are left out.

        Raises:
            Mistake: one of them is damaged.
        """
        self.results = results
        self.expired: list[str] = []
        present = read([results / "records"], say=self.expired.append)
        records = [record for record in present if record.provenance.clean]
        self.uncommitted = [record.name for record in present if not record.provenance.clean]
        self.records = len(records)
        self.published = results / PUBLISHED
        published = reported.read(self.published)
        self.named = pages(records, published)
        self.document = sections.document(records, self.named, published, _galleries(results))
        self.texts = {results / "README.md": text.text(self.document)}
        for name, own in text.files(self.document).items():
            assert name not in self.named, "two pages of one name"
            self.texts[results / "tables" / f"{name}.md"] = own
        self.drawings: dict[Path, Drawing] = {}
        for name in self.named:
            if not re.fullmatch(FILES, f"tables/{name}.md") or not name.isprintable():
                raise Mistake(f"a record asks for a page {name!r}, which is no name; remove it")
        for name, page in self.named.items():
            self.texts[results / "tables" / f"{name}.md"] = page.text
            self.texts[results / "tables" / f"{name}.csv"] = csv(page.frame)
            for end, drawing in page.drawings.items():
                self.drawings[results / "figures" / f"{name}{end}.png"] = drawing
        texts = (results.parent / "README.md", *sorted(results.parent.glob("docs/*.md")))
        self.written = [path for path in texts if path.exists()]
        for path in self.written:
            self.texts[path] = self._with_tables(path)

    def _with_tables(self, path: Path) -> str:
        """A text of ours with summaries between `<!-- table NAME -->` and `<!-- end -->`.

        `<!-- table NAME first -->` asks for the first table of the summary alone.
        """
        text = _text(path)

        def fill(place: re.Match) -> str:
            if place[1] not in self.named:
                raise Mistake(
                    f"{path} asks for table '{place[1]}', which no record makes; there are: "
                    f"{', '.join(self.named)}"
                )
            summary = self.named[place[1]].summary
            shown = in_words(summary[:1] if place[2] else summary)
            return f"<!-- table {place[1]}{place[2]} -->\n{shown}<!-- end -->"

        place = r"<!-- table (\S+)( first|) -->\n((?!<!-- table ).)*?<!-- end -->"
        filled, places = re.subn(place, fill, text, flags=re.DOTALL)
        if places != text.count("<!-- table "):
            raise Mistake(
                f"{path}: a <!-- table NAME --> is not ended; put <!-- end --> on a line below each"
            )
        return filled

    def stale(self) -> list[Path]:
        """The files that are not what the records say, or that nothing makes any more."""
        manifest = self._manifest()
        wrong = [path for path, text in self.texts.items() if not _holds(path, text)]
        for path, drawing in self.drawings.items():
            known = manifest.get(self._relative(path), {})
            same = _digest(path) is not None and _digest(path) == known.get("bytes")
            if not same or known.get("shows") != figures.digest(drawing):
                wrong.append(path)
        return sorted([*wrong, *self._left_over(manifest)])

    def republished(self) -> bool:
        """Whether reported.csv is another than the one that the pages were made with."""
        known = self._manifest().get(PUBLISHED, {}).get("bytes")
        return known is not None and known != _digest(self.published)

    def _left_over(self, manifest: dict[str, dict[str, str]]) -> list[Path]:
        """Files made here once, as they were then, that nothing makes any more."""
        made = {self._relative(path) for path in self._listed()}
        return [
            self.results / name
            for name, known in manifest.items()
            if name not in (*made, PUBLISHED)
            and _digest(self.results / name) is not None
            and _digest(self.results / name) == known.get("bytes")
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
        listed = {PUBLISHED: {"bytes": identity.digest(reading.whole(self.published))}}
        for path in self._listed():
            listed[self._relative(path)] = {"bytes": identity.digest(reading.whole(path))}
            if path in self.drawings:
                listed[self._relative(path)]["shows"] = figures.digest(self.drawings[path])
        if listed != manifest:
            text = json.dumps(dict(sorted(listed.items())), indent=1)
            write_atomically(self.results / MANIFEST, (text + "\n").encode())
        return changed

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.results).as_posix()

    def _listed(self) -> list[Path]:
        """The files in the results folder."""
        return [path for path in (*self.texts, *self.drawings) if path not in self.written]

    def _manifest(self) -> dict[str, dict[str, str]]:
        path = self.results / MANIFEST
        try:
            manifest = json.loads(reading.whole(path))
            inside = all(
                (name == PUBLISHED or re.fullmatch(FILES, name)) and isinstance(known, dict)
                for name, known in manifest.items()
            )
            if not inside:
                raise ValueError("it names files that are not made here")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise Mistake(
                f"{path} is damaged ({error}); delete it and run python -m benchmarks.tables"
            ) from error
        return manifest


def _galleries(results: Path) -> list[Figure]:
    """The pictures of results/galleries, each with the title that its file has."""
    found = []
    for path in sorted((results / "galleries").glob("*.png")):
        try:
            with Image.open(path) as picture:
                title = picture.info.get("Title", path.stem)
        except (OSError, SyntaxError) as error:
            raise Mistake(f"{path} is no picture; remove it, or make it again") from error
        found.append(Figure(path.relative_to(results).as_posix(), title))
    return found


def _text(path: Path) -> str:
    try:
        return reading.whole(path).decode()
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error.strerror}; mend it") from error
    except UnicodeDecodeError as error:
        raise Mistake(f"{path} is not UTF-8 text ({error}); mend it") from error


def _holds(path: Path, text: str) -> bool:
    return _digest(path) == identity.digest(text.encode())


def _digest(path: Path) -> str | None:
    """Of a plain file that can be read."""
    try:
        return identity.digest(reading.whole(path))
    except (OSError, ValueError):
        return None
