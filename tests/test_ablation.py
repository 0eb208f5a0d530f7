"""What a method's settings are worth: the page, its figures against the raw accuracies."""

import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from benchmarks import command, evidence, figures
from benchmarks.classification import page as pages_of
from benchmarks.classification.rows import runs
from distill.training.recipes import Recipe

from records import CIFAR10, classification_record

NAME = "classification-cifar10-ablation-datadam-ipc10"
PLAIN = ((50.0, 51.0), (49.0, 50.5), (50.5, 50.0))
CHANGES = {  # of each variant: what is added to the plain accuracies, run by run
    "power=1": ((-0.5, 0.4), (0.4, -0.3), (0.1, 0.1)),
    "every_layer=True": ((-2.0, -2.2), (-2.1, -1.9), (-2.0, -2.0)),
    "augmented=False": ((-4.0, -4.2), (-4.1, -3.9), (-4.0, -4.0)),
    "formation=2 start=kcenter": ((5.0, 5.2), (5.1, 4.9), (5.0, 5.1)),
}
BETWEEN = ((1.0, 1.2), (1.1, 1.0), (0.9, 1.0))


def record(words="", change=None, method="datadam", **changes):
    change = change or CHANGES.get(words, ((0.0, 0.0),) * 3)
    raised = tuple(
        tuple(a + b for a, b in zip(own, more, strict=True))
        for own, more in zip(PLAIN, change, strict=True)
    )
    settings = {
        "label": f"{method} {words}".strip(),
        "config": dict(word.split("=") for word in words.split()),
        "accuracies": raised,
    }
    return classification_record(method, 10, **(settings | changes))


@pytest.fixture
def records():
    return [record(), *map(record, CHANGES), record(method="dm", change=BETWEEN)]


@pytest.fixture
def page(records):
    return pages_of.pages(records, [])[NAME]


def test_an_ablation_has_four_settings_of_one_method_protocol_and_size(records):
    assert set(pages_of.pages(records, [])) == {"classification-cifar10", NAME}
    assert len(pages_of.pages(records, [])["classification-cifar10"].frame) == len(records)
    without_dm = records[:-1]
    assert NAME in pages_of.pages(without_dm[1:], [])
    few = without_dm[2:]
    again = record("every_layer=True", seed=1), record("power=2", zca=False), record(method="dm")
    assert NAME not in pages_of.pages([*few, *again, classification_record("datadam", 1)], [])


@pytest.mark.parametrize(
    ("other", "ends"),
    [
        ({"zca": False}, "no-zca"),
        ({"network": "convnet-d3-w32-instance-relu-avg"}, "w32-instance-relu-avg"),
        ({"recipe": Recipe(epochs=300)}, "epochs-300"),
        ({"dataset": dataclasses.replace(CIFAR10, judged_on="validation")}, None),
    ],
)
def test_each_protocol_has_an_ablation_of_its_own(records, other, ends):
    more = [record(**other), *(record(words, **other) for words in CHANGES)]
    names = [name for name in pages_of.pages([*records, *more], []) if "ablation" in name]
    assert len(names) == 2 and NAME in names
    (second,) = {*names} - {NAME}
    if ends is None:
        assert second == NAME.replace("cifar10", "cifar10-validation")
    else:
        assert second.startswith(f"{NAME}-") and second.lower().endswith(ends)


def test_rows_are_sorted_by_their_difference_and_dm_stands_among_them(records, page):
    table = page.tables[0].frame
    assert table["method"].tolist() == [
        "datadam formation=2 start=kcenter",
        "dm",
        "datadam power=1",
        "datadam",
        "datadam every_layer=True",
        "datadam augmented=False",
    ]
    shown = table["shown"].fillna("").tolist()
    assert shown == ["better", "better", "nothing", "", "worse", "worse"]
    assert table["n"].tolist() == ["6 (3 sets × 2 networks)"] * 6
    assert table["minus datadam"][1].startswith("**+1.0 [")
    assert "| –" in page.text and "nan" not in page.text
    by_label = {one.label: one for one in records}
    for row in page.frame.to_dict("records"):
        own = evidence.paired(runs(by_label[row["method"]]), runs(by_label["datadam"]))
        if row["method"] != "datadam":
            ends = [row[f"minus datadam{end}"] for end in ("", " low", " high")]
            assert ends == pytest.approx([own.mean, own.low, own.high], abs=1e-3)


def test_core_seconds_are_those_of_one_set_on_all_threads(records):
    one = records[0]
    hardware = dataclasses.replace(one.provenance.hardware, threads=2)
    on_two = dataclasses.replace(
        one, provenance=dataclasses.replace(one.provenance, hardware=hardware)
    )
    gpu = dataclasses.replace(hardware, device="cuda:0")
    on_gpu = dataclasses.replace(
        records[1], provenance=dataclasses.replace(one.provenance, hardware=gpu)
    )
    frame = pages_of.pages([on_two, on_gpu, *records[2:]], [])[NAME].frame.set_index("method")
    assert frame["core s"]["datadam"] == 5.0 and frame["core s"]["dm"] == 2.5
    assert frame.isna()["core s"][on_gpu.label]


def test_a_row_without_the_plain_ones_numbers_has_no_difference_and_stands_last(records):
    another = record("power=8", change=((9.0, 9.0),) * 3, seed=1)
    page = pages_of.pages([*records, another, record(method="dm", seed=1)], [])[NAME]
    last = page.frame.iloc[-1]
    assert last["method"] == another.label and last.isna()["minus datadam"]
    assert (page.frame["method"] == "dm").sum() == 1
    drawn = page.drawings[""]
    (axis,) = drawn.draw(drawn.frame).axes
    assert "power 8" not in [text.get_text() for text in axis.get_yticklabels()]
    plt.close("all")


def test_dm_stands_there_only_at_the_same_sizes_and_with_the_plain_ones_settings(records):
    few = record(method="dm", accuracies=PLAIN[:2])
    near = record("iterations=7", method="dm", change=BETWEEN)
    far = record("iterations=7 rate=2", method="dm", change=BETWEEN)
    more = tuple((*own, 50.0) for own in PLAIN)
    many = record(method="dm", accuracies=more)

    def dms(*others):
        frame = pages_of.pages([*records[:-1], *others], [])[NAME].frame
        return [name for name in frame["method"] if name.startswith("dm")]

    assert dms(many) == [] and dms(few) == ["dm"]
    assert dms(far, near, many) == [] and dms(far, near, few) == ["dm"]


def test_without_a_plain_preset_the_row_that_the_others_differ_least_from_takes_its_place():
    words = ["iterations=7", *(f"iterations=7 {more}" for more in CHANGES), "iterations=9"]
    records = [record(own, change=BETWEEN if own != words[0] else None) for own in words]
    page = pages_of.pages(records, [])[NAME]
    assert "minus datadam, iterations 7" in page.frame and "row datadam, iterations 7" in page.note


def test_the_figure_is_the_table_with_names_for_people(page):
    drawing = page.drawings[""]
    assert figures.draw(drawing).startswith(b"\x89PNG")
    figure = drawing.draw(drawing.frame)
    (axis,) = figure.axes
    names = [text.get_text() for text in axis.get_yticklabels()]
    expected = ["formation 2, start kcenter", "dm", "power 1", "datadam"]
    assert names == [*expected, "every layer", "not augmented"]
    columns = [f"minus datadam{end}" for end in (" low", " high")]
    spans = [line.get_xdata() for line in axis.lines if len(line.get_xdata()) == 2][1:]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the best on top
    for span, (_, row) in zip(spans, page.frame.iterrows(), strict=True):
        if row["method"] != "datadam":
            assert list(span) == row[columns].tolist()
    shown = {text.get_text() for text in axis.texts}
    assert shown == set(page.tables[0].frame["accuracy"])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["shown to be better", "nothing shown", "shown to be worse"]
    figure.draw_without_rendering()
    width = figure.get_window_extent().width
    boxes = [text.get_window_extent() for text in (*axis.get_yticklabels(), *axis.texts)]
    assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)
    plt.close(figure)


def test_a_command_shows_the_page_of_all_rows_and_draws_no_ablation(
    records, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "records"
    monkeypatch.setattr(command, "record_folders", lambda out: [folder])
    for other in records[1:]:
        other.write(folder)
    command.publish(records[0], tmp_path)
    printed = capsys.readouterr().out
    assert "minus random" in printed and "settings of datadam" not in printed
    assert printed.count("-> |") == 1 and not Path(tmp_path / "figures").exists()
