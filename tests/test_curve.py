"""Accuracy against the epochs of the training: the page, its figures against the raw accuracies."""

import dataclasses

import matplotlib.pyplot as plt
import pytest
from scipy import stats

from benchmarks import evidence
from benchmarks.classification import page as pages_of
from benchmarks.classification.rows import runs
from distill.training.recipes import Recipe

from records import CIFAR10, classification_record

NAME = "classification-cifar10-by-epochs"
ENDS = {  # by method and epochs: the accuracies of three sets, two networks each
    ("random", 100): ((10.0, 11.0), (12.0, 13.0), (11.0, 12.5)),
    ("random", 300): ((13.0, 12.0), (12.9, 13.0), (14.0, 15.0)),
    ("random", 1000): ((16.0, 14.0), (13.0, 14.0), (16.5, 17.0)),
    ("datadam", 100): ((20.0, 21.0), (22.0, 23.0), (24.0, 25.0)),
    ("datadam", 300): ((22.0, 23.0), (26.0, 27.0), (24.0, 25.0)),
    ("datadam", 1000): ((27.0, 26.0), (29.0, 29.5), (28.0, 28.4)),
}


def record(method, epochs, accuracies=None, **changes):
    return classification_record(
        method,
        accuracies=accuracies or ENDS[method, epochs],
        recipe=Recipe(epochs=epochs),
        **changes,
    )


@pytest.fixture
def records():
    return [record(*key) for key in ENDS]


@pytest.fixture
def page(records):
    return pages_of.pages(records, [])[NAME]


def test_there_is_a_curve_from_three_epochs_on(records):
    few = [r for r in records if r.protocol.recipe.epochs > 100]
    assert NAME not in pages_of.pages(few, [])
    assert len(pages_of.pages(few, [])) == 2
    assert len(pages_of.pages(records, [])) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"zca": False},
        {"network": "convnet-d3-w32-instance-relu-avg"},
        {"dataset": dataclasses.replace(CIFAR10, name="cifar100")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_differs_in_anything_else_is_no_part_of_a_curve(records, other):
    few = [r for r in records if r.protocol.recipe.epochs > 100]
    assert NAME not in pages_of.pages([*few, record("random", 100, **other)], [])


def test_each_protocol_has_a_curve_of_its_own(records):
    others = [record(*key, zca=False) for key in ENDS]
    curves = [name for name in pages_of.pages([*records, *others], []) if "by-epochs" in name]
    assert len(curves) == 2 and NAME in curves


def test_a_preset_and_its_settings_spelled_out_are_one_line(records):
    config = {"formation": 2, "schedule": "linear"}
    ends = [ENDS["datadam", epochs] for epochs in (300, 1000)]
    words = ["datadam formation=2 schedule=linear", "datadam formation"]
    told = [
        record("datadam", epochs, accuracies, label=label, config=config)
        for epochs, accuracies, label in zip((300, 1000), ends, words, strict=True)
    ]
    frame = pages_of.pages([*records, *told], [])[NAME].frame
    own = frame[frame["method"] == "datadam formation"]
    assert own["epochs"].tolist() == [300, 1000] and len(frame) == len(ENDS) + 2
    assert not frame["method"].str.contains("=").any()


def test_a_row_is_a_making_and_its_epochs(page):
    frame = page.frame
    assert list(zip(frame["method"], frame["epochs"], strict=True)) == list(ENDS)
    assert page.tables[0].frame["n"].tolist() == ["6 (3 sets × 2 networks)"] * 6
    for row, accuracies in zip(frame.to_dict("records"), ENDS.values(), strict=True):
        assert row["accuracy"] == pytest.approx(sum(map(sum, accuracies)) / 6, abs=1e-3)


def test_differences_are_to_random_images_of_as_many_epochs_and_to_the_most_epochs(records, page):
    own = {(r.cell.making.method, r.protocol.recipe.epochs): runs(r) for r in records}
    row = page.frame.set_index(["method", "epochs"]).loc[("datadam", 300)]
    to_random = evidence.paired(own["datadam", 300], own["random", 300])
    to_end = evidence.paired(own["datadam", 300], own["datadam", 1000])
    assert row["minus random"] == pytest.approx(to_random.mean, abs=1e-3)
    assert row["minus 1000 epochs"] == pytest.approx(to_end.mean, abs=1e-3)
    assert row["minus 1000 epochs low"] == pytest.approx(to_end.low, abs=1e-3)
    assert (
        page.frame.set_index(["method", "epochs"])
        .loc[("datadam", 1000)]
        .isna()["minus 1000 epochs"]
    )


def test_the_ranking_is_of_the_single_sets_within_an_ipc_against_the_most_epochs(page):
    def ranked(epochs, within):
        means = []
        for method in ("random", "datadam"):
            own = [sum(pair) / 2 for pair in ENDS[method, epochs]]
            means += [mean - within * sum(own) / 3 for mean in own]
        return means

    table = page.tables[1].frame.to_dict("records")
    assert [(row["ipc"], row["epochs"], row["n"]) for row in table] == [
        (1, 100, "6 sets"),
        (1, 300, "6 sets"),
    ]
    for row in table:
        for column, within in (("Spearman with 1000 epochs, all", 0), ("within", 1)):
            pair = [ranked(epochs, within) for epochs in (row["epochs"], 1000)]
            assert row[column].startswith(f"{stats.spearmanr(*pair).statistic:.2f} [")
    assert table[0]["within"] != table[0]["Spearman with 1000 epochs, all"]


def test_only_sets_that_were_trained_on_both_ways_are_ranked(records):
    fewer = [
        r for r in records if (r.cell.making.method, r.protocol.recipe.epochs) != ("random", 1000)
    ]
    alone = record("random", 1000, accuracies=ENDS["random", 1000][:1])
    page = pages_of.pages([*fewer, alone, record("random", 100, ipc=10)], [])[NAME]
    table = page.tables[1].frame
    assert table["n"].tolist() == ["3 sets"] * 2 and set(table["ipc"]) == {1}
    rows = page.frame[page.frame["method"] == "random"]
    assert rows["minus 1000 epochs"].isna().all()


def test_what_was_run_at_one_number_of_epochs_is_no_curve(records):
    apart = [record("random", 100), record("random", 300, ipc=10), record("datadam", 1000, ipc=50)]
    assert NAME not in pages_of.pages(apart, [])
    page = pages_of.pages([*records, record("random", 300, ipc=50)], [])[NAME]
    assert 50 not in page.frame["ipc"].tolist()


def test_a_curve_without_a_common_end_shows_accuracies_alone():
    apart = [record("random", 100), record("random", 300)]
    apart += [record("datadam", epochs, accuracies=((1.0, 2.0),)) for epochs in (300, 1000)]
    page = pages_of.pages(apart, [])[NAME]
    assert len(page.frame) == 4 and page.text


def test_the_lines_of_the_figure_are_the_rows_on_a_logarithmic_axis(page):
    drawing = page.drawings[""]
    figure = drawing.draw(drawing.frame)
    (axis,) = figure.axes
    assert axis.get_xscale() == "log"
    lines = {line.get_label(): line.get_xydata().tolist() for line in axis.get_lines()}
    for method in ("random", "datadam"):
        own = page.frame[page.frame["method"] == method]
        assert lines[method] == own[["epochs", "accuracy"]].astype(float).values.tolist()
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["100", "300", "1,000"]
    plt.close(figure)


def test_the_pages_of_idc_are_named_by_it(records):
    idc = Recipe(batch=64, cutmix=0.5, operations=("colour", "crop", "flip", "scale", "rotate"))
    mixed = [
        classification_record(recipe=dataclasses.replace(idc, epochs=e)) for e in (9, 20, 1000)
    ]
    pages = pages_of.pages([*records, *mixed], [])
    assert {"classification-cifar10", NAME} < pages.keys()
    assert pages["classification-cifar10-idc-by-epochs"].title.endswith("recipe idc by its epochs")
    assert "recipe idc" in pages["classification-cifar10-idc"].title
