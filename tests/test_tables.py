"""What results/ holds: fresh after it is made, and what is stale or damaged is named."""

import dataclasses
import json
import re
import shutil

import pytest
import torch

from benchmarks import figures, tables
from benchmarks.contents import Contents
from benchmarks.record import RESULTS
from benchmarks.tables import Tables
from distill.runtime.flags import cli
from distill.runtime.mistake import Mistake
from distill.sets import export

from records import classification_record, continual_record, cost_record

PAGE = "continual-digits-2-steps-retrain"
SHARED = ("README", "missing-figures", "negative-results")
"""Files in tables/ that are of all records."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A results folder with records of three pages, and all that is made of them."""
    folder = tmp_path_factory.mktemp("whole") / "results"
    folder.mkdir()
    shutil.copy(RESULTS / "reported.csv", folder)
    records = [continual_record(), continual_record("datadam", drawn=1)]
    for record in [*records, classification_record(), cost_record()]:
        record.write(folder / "records")
    assert tables.main(Tables(results=folder)) == 0
    return folder


@pytest.fixture
def results(whole, tmp_path):
    """A copy of it to work in."""
    return shutil.copytree(whole, tmp_path / "results")


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stale(results):
    return [path.relative_to(results).as_posix() for path in Contents(results).stale()]


def test_the_committed_tables_and_figures_are_fresh():
    assert Contents(RESULTS).stale() == []


def test_all_is_fresh_once_it_is_made_and_making_it_again_changes_nothing(results, capsys):
    assert stale(results) == []
    before = files(results)
    assert tables.main(Tables(results=results)) == 0 and capsys.readouterr().out == ""
    assert tables.main(Tables(check=True, results=results)) == 0
    assert files(results) == before
    manifest = json.loads((results / "generated.json").read_text())
    made = {p.relative_to(results).as_posix() for p in results.glob("[tf]*s/*")}
    assert (
        manifest.keys() == {*made, "README.md", "reported.csv"}
        and f"figures/{PAGE}.png" in made
        and len(made) == 7 + len(SHARED)
    )


def test_a_gallery_that_was_brought_stands_on_the_page_and_is_left_alone(results, fails):
    brought = results / "galleries" / "mine.png"
    brought.parent.mkdir()
    brought.write_bytes(export.png(torch.zeros(3, 4, 4), title="digits: dm"))
    assert stale(results) == ["README.md"]
    before = brought.read_bytes()
    tables.main(Tables(results=results))
    page = (results / "README.md").read_text()
    assert "**digits: dm**\n\n![digits: dm](galleries/mine.png)" in page
    assert brought.read_bytes() == before and stale(results) == []
    brought.write_bytes(b"no picture")
    assert "mine.png is no picture; remove it" in fails(tables.main, Tables(results=results))


def test_the_same_records_make_the_same_files_elsewhere(whole, tmp_path):
    """Whatever order they were written in: a fresh clone is not stale."""
    folder = tmp_path / "results"
    shutil.copytree(whole / "records", folder / "records")
    shutil.copy(whole / "reported.csv", folder)
    tables.main(Tables(results=folder))
    theirs = {p.relative_to(whole): text for p, text in files(whole).items()}
    assert {p.relative_to(folder): text for p, text in files(folder).items()} == theirs


@pytest.mark.parametrize(
    "name", ["README.md", f"tables/{PAGE}.md", f"tables/{PAGE}.csv", f"figures/{PAGE}.png"]
)
@pytest.mark.parametrize("change", ["flip", "cut", "delete"])
def test_a_changed_file_is_named_and_mended(results, name, change, capsys):
    path, before = results / name, files(results)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if change == "flip" else content[:-3])
    if change == "delete":
        path.unlink()
    now = files(results)
    assert tables.main(Tables(check=True, results=results)) == 1
    said = capsys.readouterr().err
    assert said == f"stale: {path}; run python -m benchmarks.tables\n"
    assert files(results) == now, "a check writes nothing"
    tables.main(Tables(results=results))
    assert capsys.readouterr().out == f"{path}\n" and files(results) == before


def test_a_changed_record_makes_its_own_page_stale_and_no_other(results):
    continual_record("datadam", drawn=1, shift=1.0).write(results / "records")
    of_page = [f"figures/{PAGE}.png", f"tables/{PAGE}.csv", f"tables/{PAGE}.md"]
    assert stale(results) == ["README.md", *of_page, "tables/negative-results.md"]
    tables.main(Tables(results=results))
    assert stale(results) == []


def test_a_figure_of_other_data_is_stale_though_the_manifest_knows_its_bytes(results):
    contents = Contents(results)
    (path,) = contents.drawings
    drawing = contents.drawings[path]
    other = dataclasses.replace(drawing, frame=drawing.frame.assign(accuracy=1.0))
    contents.drawings[path] = other
    contents.regenerate()
    assert stale(results) == [f"figures/{PAGE}.png"]
    assert figures.digest(other) != figures.digest(drawing)


def test_a_file_of_a_user_s_own_survives_and_is_not_called_stale(results):
    own = [results / "tables" / "mine.md", results / "figures" / "mine.png", results / "notes.txt"]
    for path in own:
        path.write_text("mine")
    assert stale(results) == []
    continual_record("dm", 2).write(results / "records")
    tables.main(Tables(results=results))
    assert [path.read_text() for path in own] == ["mine"] * 3


def test_what_nothing_makes_any_more_is_removed_unless_it_was_changed(results, capsys):
    for path in (results / "records").glob("continual-*.json"):
        path.unlink()
    mine = results / "tables" / f"{PAGE}.csv"
    mine.write_text("my own now")
    of_page, shared = [f"figures/{PAGE}.png", f"tables/{PAGE}.md"], ["README", "negative-results"]
    others = [f"tables/{name}.md" for name in shared]
    assert stale(results) == sorted(["README.md", *of_page, *others])
    tables.main(Tables(results=results))
    assert not (results / "figures" / f"{PAGE}.png").exists()
    assert not (results / "tables" / f"{PAGE}.md").exists()
    assert mine.read_text() == "my own now" and stale(results) == []
    assert PAGE not in (results / "generated.json").read_text()
    tables.main(Tables(results=results))
    assert mine.exists()


def refused(results):
    """The one line that both making and checking end with."""
    lines = set()
    for check in (True, False):
        with pytest.raises(Mistake) as mistake:
            tables.main(Tables(check=check, results=results))
        lines.add(str(mistake.value))
    (line,) = lines
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"1",
        b"\xff\xfe",
        b"[" * 100000,
        b'{"tables/x.md": 1}',
        b'{"records/x.json": {}}',
        b'{"tables/..": {}}',
        b'{"tables/../../x.md": {}}',
        b'{"/etc/x.md": {}}',
    ],
)
def test_a_damaged_manifest_is_named_and_nothing_is_removed(results, text):
    (results / "generated.json").write_bytes(text)
    before = files(results.parent)
    assert f"{results / 'generated.json'} is damaged" in refused(results)
    assert files(results.parent) == before


def test_a_manifest_that_lists_a_folder_removes_none(results):
    (results / "tables" / "mine.md").mkdir()
    (results / "generated.json").write_text('{"tables/mine.md": {"bytes": "0"}}')
    tables.main(Tables(results=results))
    assert (results / "tables" / "mine.md").is_dir() and stale(results) == []


def test_a_readme_that_is_no_text_is_named(results):
    (results.parent / "README.md").write_bytes(b"\xff\xfe# title")
    assert f"{results.parent / 'README.md'} is not UTF-8 text" in refused(results)


def test_a_table_that_is_no_text_is_stale(results):
    (results / "tables" / f"{PAGE}.md").write_bytes(b"\xff\xfe")
    assert stale(results) == [f"tables/{PAGE}.md"]


def test_a_bad_list_of_published_figures_is_named(results):
    path = results / "reported.csv"
    path.write_text(path.read_text().replace(",32.0,1.2,authors", ",thirty,1.2,authors", 1))
    line = refused(results)
    assert str(path) in line and "line 13, column 'value'" in line and "'thirty'" in line


def test_published_figures_other_than_those_of_the_pages_are_named(results, capsys):
    """A digit that is as likely as the right one, in a row that no page shows."""
    path = results / "reported.csv"
    path.write_text(path.read_text().replace(",20.13,", ",20.18,"))
    assert tables.main(Tables(check=True, results=results)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"changed: {path} is not what the pages were made with; restore it")
    assert tables.main(Tables(results=results)) == 0 and path.exists()
    assert tables.main(Tables(check=True, results=results)) == 0


def test_a_wrong_results_folder(tmp_path):
    assert f"no reported.csv in {tmp_path}; --results takes" in refused(tmp_path)


def test_a_text_may_ask_for_the_first_table_alone(results):
    readme = results.parent / "README.md"
    readme.write_text(f"<!-- table {PAGE} first -->\n<!-- end -->\n")
    tables.main(Tables(results=results))
    text = readme.read_text()
    assert text.startswith(f"<!-- table {PAGE} first -->\nFinal accuracy (%)")
    assert "Minus random" not in text and stale(results) == []


def test_the_readme_shows_the_summary_between_its_markers(results):
    readme = results.parent / "README.md"
    marked = f"before\n<!-- table {PAGE} -->\nold\n<!-- end -->\nbetween\n"
    marked += "<!-- table cost-step-cpu-2-threads -->\n<!-- end -->\nafter\n"
    readme.write_text(marked)
    assert Contents(results).stale() == [readme]
    tables.main(Tables(results=results))
    text = readme.read_text()
    begin, summary, between, cost, after = (
        part for piece in text.split("<!-- end -->\n") for part in piece.split(" -->\n")
    )
    assert begin == f"before\n<!-- table {PAGE}" and after == "after\n"
    assert between.startswith("between\n") and cost.startswith("| what ")
    assert summary.startswith(
        "Final accuracy (%) [95 % interval], n = 8 (4 class orders × 2 networks, 2 sets):"
    )
    page = (results / "tables" / f"{PAGE}.md").read_text()
    assert summary in page and "Minus random, paired" in summary
    listed = json.loads((results / "generated.json").read_text())
    assert stale(results) == [] and [n for n in listed if n.startswith("README")] == ["README.md"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!-- table nothing -->\n<!-- end -->\n", f"asks for table 'nothing'.*there are:.*{PAGE}"),
        (f"<!-- table {PAGE} -->\nprose\n", "not ended; put <!-- end -->"),
        (f"<!-- table {PAGE} -->\n" * 2 + "prose\n<!-- end -->\n", "not ended; put <!-- end -->"),
    ],
)
def test_a_marker_that_cannot_be_filled_is_refused(results, text, says):
    readme = results.parent / "README.md"
    readme.write_text(text)
    line = refused(results)
    assert str(readme) in line and re.search(says, line), line
    assert readme.read_text() == text


def test_a_page_says_what_it_was_made_with(whole):
    text = (whole / "tables" / f"{PAGE}.md").read_text()
    assert text.startswith("# digits, 2 steps, retrain: ")
    assert "    python -m benchmarks.continual --method datadam\n" in text


def test_the_flags_of_the_command(fails):
    def main(args):
        return tables.main(cli(Tables, args, prog="python -m benchmarks.tables"))

    assert "unknown flag '--chek'; did you mean --check?" in fails(main, ["--chek"])
    assert "no reported.csv in nowhere" in fails(main, ["--results", "nowhere"])
