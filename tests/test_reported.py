import dataclasses
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import reported
from benchmarks.reported import location, others, published, read
from distill.runtime.mistake import Mistake

PATH = Path(__file__).parent.parent / "results" / "reported.csv"
ROWS = read(PATH)
BYTES = PATH.read_bytes()
HEADER, *LINES = BYTES.decode().splitlines(keepends=True)
SHORT = "".join([HEADER, *LINES[:3], *LINES[400:403], *LINES[-3:]]).encode()
"""A table small enough to be read hundreds of times."""

PAPER = {
    "experiment": "classification",
    "dataset": "cifar10",
    "ipc": 50,
    "metric": "accuracy",
    "network": "convnet-d3-w128-instance-relu-avg",
    "norm": "instance",
    "zca": False,
    "epochs": 1000,
    "recipe": "dm",
    "factor": 1,
    "labels": "hard",
}


def value(method, rows=ROWS, **changes):
    """The published value for a run by DM's protocol on CIFAR-10, changed as said."""
    row = published(rows, method=method, **{**PAPER, **changes})
    return row and row.value


def continual(method, steps, classes, **changes):
    run = {"experiment": "continual", "dataset": "cifar100", "ipc": 20, "strategy": "retrain"}
    return value(method, **{**run, "steps": steps, "classes": classes, **changes})


def row(method, **fields):
    """The one row of a method that has these fields."""
    fields["method"] = method
    (only,) = [r for r in ROWS if all(getattr(r, name) == fields[name] for name in fields)]
    return only


def table(*changes, lines=LINES[:1]):
    """The header and some lines, with the cells in `changes` (column, text) of the last changed."""
    names = HEADER.strip().split(",")
    *before, last = lines
    cells = last.rstrip("\n").split(",")
    for column, text in changes:
        cells[names.index(column)] = text
    return "".join([HEADER, *before, ",".join(cells) + "\n"])


def refused(tmp_path, content, *words):
    """The one line by which a file of this content is refused; it names the file and `words`."""
    path = tmp_path / "reported.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Mistake) as mistake:
        read(path)
    message = str(mistake.value)
    assert "\n" not in message and str(path) in message
    assert all(word in message for word in words), message
    return message


# The figures themselves: typed from the published tables, not copied from the file.


def test_the_main_table_holds_what_is_published():
    assert value("dm", ipc=1) == 26.0
    assert value("dm", ipc=10, dataset="cifar100") == 29.7
    assert value("datadam", zca=True) == 67.0
    assert value("datadam", ipc=1, zca=True) == 32.0
    assert value("datadam", ipc=10, dataset="cifar100", zca=True) == 34.8
    assert value("datadam", dataset="tiny_imagenet", network="convnet-d4-w128") == 28.7
    assert value("whole", ipc=None, dataset="cifar100") == 56.2
    assert row("dsa", ipc=10, dataset="cifar10", by="authors").std == 0.5


def test_the_other_tables_hold_what_is_published():
    assert value("datadam", ipc=10, dataset="imagewoof", network="convnet-d5-w128") == 34.4
    assert value("datadam", network="resnet18", norm="batch", zca=True) == 60.2
    assert value("dm", ipc=1000) == 79.8
    assert continual("datadam", 5, 100) == 39.8
    assert continual("datadam", 10, 40) == 50.5
    assert continual("herding", 10, 100) == 27.3
    assert row("datadam", experiment="nas", metric="spearman_top").value == 0.69
    assert row("mtt", metric="spearman_top20").value == -0.04
    assert row("dsa", metric="seconds_per_step", ipc=50).value == 20.13
    assert row("mtt", metric="memory_mb", ipc=10).value == 8049
    ncfm = row("ncfm", dataset="cifar10", ipc=10, network="convnet-d3")
    assert (ncfm.value, ncfm.factor) == (71.8, 2)


def test_every_figure_but_those_of_cost_names_its_dataset_and_all_name_a_source():
    assert all(r.source for r in ROWS)
    assert all(r.dataset for r in ROWS if r.experiment != "cost")


def test_what_was_read_off_a_figure_says_so():
    figures = [r for r in ROWS if "Figure" in r.source]
    assert len(figures) > 100
    assert all("read off a figure" in r.note for r in figures)


def test_no_two_rows_of_the_authors_agree_with_a_run_equally_well():
    """Else the order of the file would decide what a run is compared with."""
    for r in ROWS:
        if r.by == "authors" and r.experiment == "classification":
            names = [f for f in PAPER if f not in ("experiment", "metric")]
            run = {name: getattr(r, name) for name in names}
            assert value(r.method, **run, classes=r.classes) == r.value, r


def test_a_figure_with_zca_is_not_matched_by_a_run_without():
    assert value("datadam", zca=True) == 67.0
    assert value("datadam", zca=False) is None


def test_dm_used_no_zca_so_a_run_without_matches_and_one_with_does_not():
    assert value("dm", zca=False) == 63.0
    assert value("dm", zca=True) is None


def test_a_figure_in_instance_norm_is_not_matched_in_batch_norm():
    assert value("dm", norm="batch") is None
    assert value("dm", network="alexnet", norm="batch") == 60.1
    assert value("dm", network="alexnet", norm="instance") is None


def test_other_epochs_or_another_recipe_do_not_match():
    assert value("dm", epochs=300) is None
    assert value("dm", recipe="dc") is None
    assert value("dc", epochs=300, recipe="dc") == 53.9
    assert value("dc") is None


def test_what_is_not_published_matches_anything():
    assert row("herding", dataset="cifar10", ipc=50).epochs is None
    assert value("herding", epochs=300, norm="batch", zca=True, recipe="mine") == 40.4


def test_networks_match_by_family_depth_and_width():
    assert value("dm", network="convnet-d3-w128-batch-swish-max") == 63.0
    assert value("dm", network="convnet-w128-d3") == 63.0
    for other in ("convnet-d3-w32-instance-relu-avg", "convnet-d4-w128", "vit-d3-w128", "convnet"):
        assert value("dm", network=other) is None


def test_a_published_network_without_a_width_matches_any_width():
    """But not another depth."""
    assert value("ftd", network="convnet-d3-w32") == 73.8
    assert value("ftd", network="convnet-d4-w32") is None


def test_several_images_in_a_slot_or_soft_labels_are_another_figure():
    assert value("idc", factor=2) == 74.5 and value("idc", factor=1) is None
    assert value("pad", labels="soft") == 77.0 and value("pad", labels="hard") is None


def test_class_incremental_figures_match_by_steps_strategy_and_classes():
    assert continual("dm", 5, 100) == 34.3 and continual("dm", 10, 100) == 34.6
    assert continual("dm", 5, 100, strategy="replay") is None
    assert continual("dm", 5, None) is None
    assert continual("idc", 5, 100, strategy="lucir", factor=2) == 49.7


def test_of_several_rows_the_one_that_states_most_is_taken():
    bare = row("dm", dataset="cifar10", ipc=50, by="authors", network="convnet-d3-w128")
    vague = dataclasses.replace(bare, norm=None, epochs=None, value=1.0)
    assert value("dm", rows=[vague, bare]) == value("dm", rows=[bare, vague]) == 63.0
    assert value("dm", rows=[vague, bare], norm="batch") == 1.0


def test_what_others_got_is_never_the_published_figure():
    """MTT's own figure is taken, not the lower one of the poster."""
    assert value("mtt") == 71.6
    got = others(ROWS, row("mtt", dataset="cifar10", ipc=50, by="authors", network="convnet-d3"))
    assert [r.value for r in got] == [65.9, 55.7]


def test_others_are_those_of_the_same_cell_whatever_their_norm():
    same = row("datadam", dataset="cifar100", ipc=10, by="authors")
    assert [(r.value, r.norm) for r in others(ROWS, same)] == [(25, "instance"), (32, "batch")]
    alexnet = row("dm", dataset="cifar10", network="alexnet", by="authors")
    assert [r.value for r in others(ROWS, alexnet)] == [61.3]
    assert others(ROWS, row("dm", ipc=1, dataset="cifar10", experiment="classification")) == []
    retrained = row("dm", experiment="continual", steps=5, classes=100, strategy="retrain")
    assert others(ROWS, retrained) == []


def test_the_file_is_the_repositorys_or_else_the_wheels(monkeypatch, tmp_path):
    assert location() == PATH
    monkeypatch.setattr(reported, "RESULTS", tmp_path)
    data = Path(sysconfig.get_path("data"))
    assert location() == data / "share" / "distill-suite" / "reported.csv"


def test_cells_are_typed():
    r = row("dm", dataset="cifar10", ipc=50, by="authors", network="convnet-d3-w128")
    assert (r.value, r.std, r.zca, r.classes, r.networks) == (63.0, 0.4, False, None, 20)


IMPOSSIBLE = {
    "experiment": ["", "clasification"],
    "method": ["", "DM", "dm "],
    "metric": ["acuracy"],
    "value": ["", "high", "nan", "1e2", "144", "-1"],
    "std": ["-0.4"],
    "ipc": ["0", "1.0", "１０"],
    "epochs": ["9" * 5000],
    "by": ["me"],
    "norm": ["layer", ""],
    "zca": ["maybe", ""],
    "factor": ["3"],
    "labels": ["firm"],
    "source": ["", " "],
    "note": ["two \x07 bells", " late"],
}


@pytest.mark.parametrize(("column", "text"), [(c, t) for c in IMPOSSIBLE for t in IMPOSSIBLE[c]])
def test_a_cell_that_cannot_be_is_refused_by_file_line_and_column(tmp_path, column, text):
    refused(tmp_path, table((column, text), lines=LINES[:2]), "line 3", f"column '{column}'")


def test_a_figure_twice_is_refused(tmp_path):
    """Also with another value: which of the two would be meant?"""
    twice = table(("value", "14.5"), lines=[LINES[0], LINES[0]])
    refused(tmp_path, twice, "line 3", "column 'value'", "line 2")


def test_two_sources_may_differ_on_what_others_got_but_not_on_what_is_published(tmp_path):
    mine = [("by", "others"), ("source", "mine")]
    path = tmp_path / "reported.csv"
    path.write_text(table(*mine) + table(("by", "others"), ("source", "yours"))[len(HEADER) :])
    assert [r.source for r in read(path)] == ["mine", "yours"]
    refused(tmp_path, table(("source", "another"), lines=[LINES[0], LINES[0]]), "line 3")


def test_a_column_missing_twice_or_too_many_is_refused(tmp_path):
    refused(tmp_path, BYTES.replace(b",zca,", b",", 1), "line 1", "missing: zca")
    refused(tmp_path, BYTES.replace(b",note", b",note,more", 1), "line 1")
    refused(tmp_path, BYTES.replace(b",note", b",source", 1), "missing: note")
    refused(tmp_path, b"\n", "missing: experiment")


def test_a_line_with_a_cell_too_few_is_refused(tmp_path):
    refused(tmp_path, HEADER + LINES[0].replace(",", "", 1), "line 2", "column", "note")
    refused(tmp_path, HEADER + "\n" + LINES[0], "line 2")


def test_a_file_that_is_cut_not_utf8_or_absent_is_refused(tmp_path):
    for content in (BYTES[:-1], b""):
        refused(tmp_path, content, "cut")
    refused(tmp_path, BYTES.replace(b"DataDAM", b"Data\xffDAM", 1), "UTF-8")
    refused(tmp_path, HEADER + LINES[0].replace("DataDAM", '"DataDAM"'), "line 2")
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(Mistake, match="cannot read"):
            read(path)


def flipped(flips):
    content = bytearray(SHORT)
    for place, bits in flips:
        content[place] ^= bits
    return bytes(content)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "reported.csv"


PLACE = st.integers(0, len(SHORT) - 1)
FLIPPED = st.lists(st.tuples(PLACE, st.integers(1, 255)), min_size=1, max_size=4).map(flipped)
CUT = st.tuples(PLACE, st.binary(max_size=8)).map(lambda cut: SHORT[: cut[0]] + cut[1])
ANY = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEADER + text).encode())


@settings(max_examples=600, deadline=None, derandomize=True)
@given(content=FLIPPED | CUT | ANY)
def test_bytes_flipped_cut_off_or_any_at_all_give_rows_or_one_line(path, content):
    path.write_bytes(content)
    try:
        rows = read(path)
    except Mistake as mistake:
        assert "\n" not in str(mistake) and str(path) in str(mistake)
    else:
        assert all(isinstance(r, reported.Reported) for r in rows)
