"""The curves of continual learning, and figures drawn from them."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from benchmarks import evidence, figures
from benchmarks.continual.figures import curves
from benchmarks.continual.page import curve_frame
from benchmarks.evidence import Run
from benchmarks.order import in_order

from paged import final_runs, page_of
from records import (
    continual_record,
)


def test_classes_seen_are_counted_from_uneven_steps():
    frame = curve_frame([continual_record(steps=3)])
    assert frame["classes"].tolist() == [4, 7, 10]
    two = continual_record("datadam", 2, steps=4, config={"formation": 2})
    assert curve_frame([two])["classes"].tolist() == [3, 6, 8, 10]


def test_a_curve_is_of_the_classes_seen_and_ends_at_the_final_accuracy():
    record = continual_record(steps=3)
    frame = curve_frame([record])
    final = evidence.estimate(final_runs(record), within=evidence.PERCENT)
    last = frame.iloc[-1]
    assert (last["accuracy"], last["low"], last["high"]) == (final.mean, final.low, final.high)
    first = [
        Run(order % 2, order, network, matrix[0][0])
        for order, own in enumerate(record.results.matrices)
        for network, matrix in enumerate(own)
    ]
    assert frame.iloc[0]["accuracy"] == evidence.estimate(first).mean


def test_a_curve_estimates_no_differences(monkeypatch):
    records = [continual_record(), continual_record("dm")]
    monkeypatch.setattr(evidence, "paired", None)
    assert len(curve_frame(records)) == 4


@pytest.fixture
def figure():
    records = [
        continual_record(method, ipc, drawn=ipc, shift=shift)
        for shift, method in enumerate(("random", "herding", "datadam"))
        for ipc in (1, 2)
        if (method, ipc) != ("herding", 2)  # a line that one panel lacks
    ]
    frame = page_of(*records).drawings[""].frame
    drawn = curves(frame)
    yield frame, drawn
    plt.close(drawn)


def test_the_lines_of_the_figure_are_the_rows_of_its_frame(figure):
    frame, drawn = figure
    assert [axis.get_title() for axis in drawn.axes] == ["1 image a class", "2 images a class"]
    for axis, ipc in zip(drawn.axes, (1, 2), strict=True):
        lines = {line.get_label(): line for line in axis.lines}
        assert set(lines) == {"random", "herding", "datadam"}
        for buffer, line in lines.items():
            part = frame[(frame["ipc"] == ipc) & (frame["buffer"] == buffer)]
            assert line.get_xdata().tolist() == part["classes"].tolist()
            assert line.get_ydata().tolist() == part["accuracy"].tolist()
        bands = [path.vertices[:, 1] for own in axis.collections for path in own.get_paths()]
        spans = sorted((min(band), max(band)) for band in bands if len(band))
        own = frame[frame["ipc"] == ipc].groupby("buffer")
        assert spans == sorted(zip(own["low"].min(), own["high"].max(), strict=True))
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend == ["random", "herding", "datadam"]


def test_a_method_has_one_colour_in_every_figure(figure):
    _, drawn = figure
    of_three = {line.get_label(): line.get_color() for line in drawn.axes[0].lines}
    alone = curves(curve_frame([continual_record("datadam")]))
    assert alone.axes[0].lines[0].get_color() == of_three["datadam"]
    plt.close(alone)
    assert len(set(of_three.values())) == 3
    known = ["random", "herding", "dm", "datadam"]
    colours = figures.palette([*known, "datadam power=1", "mine"])
    assert len(set(colours.values())) == 6
    assert {name: figures.palette([name])[name] for name in known} == {n: colours[n] for n in known}


def test_a_figure_has_a_line_for_each_row_however_many_there_are():
    names = [f"dm ipc={ipc}" for ipc in range(31)]
    point = dict.fromkeys(("step", "accuracy", "low", "high"), 1.0)
    frame = pd.DataFrame([{"buffer": name} | point for name in names])
    drawn, axis = plt.subplots()
    figures.lines(axis, frame, names, line="buffer", x="step", low="low")
    assert [line.get_label() for line in axis.lines] == names
    assert axis.lines[30].get_marker() == axis.lines[0].get_marker()
    plt.close(drawn)


def test_a_plain_label_stands_before_its_variants_and_has_the_colour_itself():
    plain, variant = "datadam ipc=10", "datadam formation ipc=10"
    assert in_order(["mine", variant, plain, "random"]) == [
        "random",
        plain,
        variant,
        "mine",
    ]
    assert figures.palette([variant, plain])[plain] == figures.palette(["datadam"])["datadam"]
