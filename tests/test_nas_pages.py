"""What results/ shows of architecture search: pages, and the data that the figures show."""

import dataclasses
import math
import types

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from benchmarks import evidence, reported
from benchmarks.nas import facts, figures, rows, truth
from benchmarks.nas.importance import EXPLAINED
from benchmarks.nas.page import pages
from benchmarks.nas.truth import made_as
from benchmarks.record import Record, read_one
from benchmarks.report import cells
from benchmarks.schema import Dataset, Hardware, Making, Provenance, SetUsed, Spent
from distill.architectures.convnet import NORMS
from distill.networks import parse
from distill.training.recipes import Recipe
from downstream.nas import space
from downstream.nas.proxy import UNTRAINED

NAMES = [str(spec) for spec in space.every("laptop")[::18]]
TRUTH = [float(place) for place in range(40)]
HARDWARE = Hardware(cpu="x", cores=2, threads=1, device="cpu", gpu=None)


def record(
    proxy, scores, *, label=None, ipc=50, seed=0, steps=80, dataset="cifar10", trials=None, **truth
):
    """A record of `proxy`; ipc None: it has no images of its own."""
    free = proxy in UNTRAINED
    made = ipc is not None and not free and proxy not in ("whole", "early-stopping")
    making = Making(method=proxy, version=1, config={}, ipc=ipc or 1, seed=seed, sets=1)
    known = TRUTH if trials is None else [t if t > 34 else None for t in TRUTH]
    return Record(
        kind="nas",
        version=facts.VERSION,
        label=label or proxy,
        protocol=facts.Protocol(
            dataset=Dataset(name=dataset, version=1, without=[], digest="d"),
            space="laptop",
            networks=None if trials else 40,
            trials=trials,
            truth={"version": 1, "seed": 0, "recipe": {"epochs": 1, "batch": 64}, **truth},
        ),
        cell=facts.Cell(
            proxy=proxy,
            making=making if made else None,
            recipe=None if free else Recipe(epochs=40),
            steps=None if free else steps,
            strategy="evolution" if trials else "grid",
            seed=seed,
        ),
        results=facts.Results(
            names=NAMES,
            scores=scores,
            truth=known,
            parameters=[7] * 40,
            flops=[2_000_000] * 40,
            looks=[[] if free or s is None else [(5, 1.0), (80, s)] for s in scores],
            failed={n: "x" for n, s in zip(NAMES, scores, strict=True) if s is None},
            seconds=[None if free else 2.25] * 40,
            images=500,
            bytes=2048,
        ),
        sets=[SetUsed(seed=1, digest="s", seconds=60.0, images=500, bytes=2048)] if made else [],
        cost=Spent(seconds={"distill": 60.0, "trials": 90.0}, peak_mb=1),
        provenance=Provenance(
            command=f"python -m {proxy}",
            date="2025-01-01",
            commit="abcdef123456",
            clean=True,
            python="3",
            versions={},
            hardware=HARDWARE,
        ),
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def swapped(scores, first, second):
    scores = list(scores)
    scores[first], scores[second] = scores[second], scores[first]
    return scores


RECORDS = [
    record("whole", TRUTH),
    record("whole", swapped(TRUTH, 38, 39), seed=1),
    record("datadam", TRUTH[::-1]),
    record("random", [None, *swapped(TRUTH, 1, 20)[1:]]),
    record("early-stopping", TRUTH),
    record("parameters", TRUTH[::-1]),
]


@pytest.fixture(scope="module")
def published():
    return reported.read(reported.location())


@pytest.fixture(scope="module")
def page(published):
    (page,) = pages(RECORDS, published).values()
    return page


def row(table, proxy):
    return table.frame.set_index("proxy").loc[proxy]


def test_a_record_is_read_as_it_was_written(tmp_path):
    for own in RECORDS:
        assert read_one(own.write(tmp_path)) == own


def test_rankings_and_searches_have_pages_of_their_own_with_names_for_people(published):
    searches = [record("random", TRUTH, dataset="digits", trials=n) for n in (40, 30)]
    other = record("random", TRUTH, dataset="digits")
    assert list(pages([*searches, other], published)) == [
        "nas-digits-40-networks",
        "nas-search-digits-30-trials",
        "nas-search-digits-40-trials",
    ]


def test_rows_stand_in_the_one_order_with_the_ceiling_marked(page):
    assert list(page.tables[0].frame["proxy"]) == [
        "random ipc=50",
        "datadam ipc=50",
        "parameters",
        "early-stopping",
        "whole (ground truth)",
        "whole seed=1 (ceiling)",
    ]


def test_correlations_stand_with_their_interval_and_paired_difference(page):
    shown = row(page.tables[0], "datadam ipc=50")
    assert shown["Spearman, all"] == "−1.00 [−1.00, −1.00]"
    assert shown["Spearman, all, minus random"].startswith("**−1.9")
    assert shown["Spearman, top 20 %, minus random"] == "**−2.00 [−2.00, −2.00]**"
    assert shown["without batch norm"] == "−1.00 [−1.00, −1.00]"
    assert (shown["n"], shown["n, top 20 %"], row(page.tables[0], "random ipc=50")["n"]) == (
        *(40, 8, 39),
    )
    assert row(page.tables[0], "random ipc=50")["Spearman, all, minus random"] == "–"


def test_the_difference_is_over_the_networks_that_both_know(page):
    shown = page.frame.set_index("proxy").loc["early-stopping"]
    ours = evidence.correlation(TRUTH[1:], TRUTH[1:]).mean
    others = evidence.correlation(swapped(TRUTH, 1, 20)[1:], TRUTH[1:]).mean
    assert ours > others
    assert shown["Spearman, all, minus random"] == pytest.approx(ours - others, abs=1e-4)
    low, high = (shown[f"Spearman, all, minus random {end}"] for end in ("low", "high"))
    assert low <= ours - others <= high


def test_the_ground_truth_is_not_compared_with_itself_but_with_another_seed(page):
    itself, ceiling = (
        row(page.tables[0], f"whole {what}") for what in ("(ground truth)", "seed=1 (ceiling)")
    )
    assert itself["Spearman, all"] == "–" and ceiling["Spearman, all"].startswith("1.00 [")
    others = (own for end, own in page.drawings.items() if end != "-importance")
    for drawing in others:
        assert "whole (ground truth)" not in set(drawing.frame["proxy"])
        assert "whole seed=1 (ceiling)" in set(drawing.frame["proxy"])
    assert row(page.tables[1], "whole seed=1 (ceiling)")["regret"] == 1.0


def test_random_images_of_another_number_or_training_are_no_reference():
    few, many = record("random", TRUTH, ipc=1, steps=40), record("random", TRUTH, ipc=50)
    longer = dataclasses.replace(few, cell=dataclasses.replace(few.cell, recipe=Recipe(epochs=9)))
    ours = record("datadam", TRUTH, ipc=1, steps=160)
    assert rows.reference(ours, [many, few]) is few
    assert rows.reference(ours, [many, longer]) is None
    early = record("early-stopping", TRUTH, steps=40)
    assert rows.reference(early, [many, few]) is few
    assert rows.reference(record("flops", TRUTH), [few, many]) is many
    assert rows.reference(many, [few, many]) is None


def test_two_rows_never_have_one_label():
    twins = [record("dm", TRUTH), record("dm", TRUTH, steps=160)]
    assert list(rows.row_labels(twins).values()) == ["dm ipc=50 80 steps", "dm ipc=50 160 steps"]
    older = record("dm", TRUTH)
    making = dataclasses.replace(older.cell.making, version=2)
    newer = dataclasses.replace(older, cell=dataclasses.replace(older.cell, making=making))
    names = list(rows.row_labels([older, newer]).values())
    assert names == ["dm ipc=50 80 steps version 1", "dm ipc=50 80 steps version 2"]


def test_the_published_figure_stands_beside_ours_with_its_scale(page):
    shown = row(page.tables[0], "datadam ipc=50")
    assert shown["Spearman, all, reported"] == "0.72"
    assert shown["Spearman, top 20 %, reported"] == "0.69"
    assert row(page.tables[0], "random ipc=50")["Spearman, all, reported"] == "0.70"
    assert "another scale" in page.note
    assert "Spearman, all, verdict" not in page.tables[0].frame


def test_what_another_space_gives_fills_no_published_cell(published):
    own = record("random", TRUTH, ipc=50)
    whole = dataclasses.replace(own.protocol, space="paper", networks=720)
    for protocol, offered in ((own.protocol, False), (whole, True)):
        searched = dataclasses.replace(own, protocol=protocol)
        assert bool(cells.offers([searched], pages([searched], published))) == offered


def test_nothing_is_reported_for_another_dataset_or_number_of_images(published):
    for other in ({"dataset": "digits"}, {"ipc": 10}):
        (page,) = pages([record("random", TRUTH, **other)], published).values()
        assert not any("reported" in column for column in page.tables[0].frame)
        assert "another scale" not in page.note


def test_what_was_chosen_and_what_it_cost(page):
    shown = row(page.tables[1], "datadam ipc=50")
    assert shown["top-1"] == 0.0 and shown["regret"] == 39.0 and shown["chosen"] == NAMES[0]
    assert (shown["images"], shown["KiB"], shown["minutes"], shown["distill min"]) == (
        *(500, 2.0, 1.5, 1.0),
    )
    assert shown["kFLOPs"] == 2000 and shown["commit"] == "abcdef1"
    assert row(page.tables[1], "random ipc=50")["failed"] == 1


def test_a_score_shows_the_images_that_it_looks_at():
    def seen(proxy):
        own = record(proxy, TRUTH)
        scoring = facts.Scoring(version=1, images=64)
        nothing = dataclasses.replace(own.results, images=0, bytes=0)
        cell = dataclasses.replace(own.cell, scoring=scoring)
        return rows.choice_of(dataclasses.replace(own, cell=cell, results=nothing))["images"]

    assert (seen("jacob_cov"), seen("synflow")) == (64, 0)


def test_each_norm_has_a_correlation_of_its_own(page):
    shown = row(page.tables[2], "datadam ipc=50")
    assert list(shown.index)[:2] == ["no norm", "batch norm"]
    assert shown["batch norm"] == "−1.00 [−1.00, −1.00]"


def test_a_search_shows_what_it_found(published):
    (page,) = pages([record("random", TRUTH, ipc=50, trials=40)], published).values()
    shown = row(page.tables[0], "random ipc=50 evolution")
    assert (shown["trials"], shown["top-1"], shown["top-5"]) == (40, 39.0, 37.0)
    assert page.drawings == {}


def test_the_readme_shows_the_main_columns(page):
    assert page.summary[0].frame.columns.tolist() == [
        "proxy",
        "Spearman, all",
        "Spearman, all, minus random",
        "Spearman, all, reported",
        "Spearman, top 20 %",
        "Spearman, top 20 %, minus random",
        "Spearman, top 20 %, reported",
        "without batch norm",
        "top-1",
        "regret",
        "images",
        "minutes",
    ]


def test_a_network_whose_score_is_not_finite_is_ranked_last_and_never_dropped(published):
    scores = [-1e9 + t for t in TRUTH]
    known = record("synflow", [None, *scores[1:]])
    last = record("synflow", [-2e9, *scores[1:]])
    assert rows.scores_of(known)[0] < min(scores[1:])
    assert rows.scores_of(record("synflow", [1e20, 3e20, None] + [2e20] * 37))[2] < 1e20
    shown = [rows.row_of(own, [own], published, label="") for own in (known, last)]
    assert shown[0]["Spearman, all"] == shown[1]["Spearman, all"] and shown[0]["n"] == 40
    assert shown[0]["failed"] == 1
    trained = record("random", [None, *scores[1:]])
    assert rows.scores_of(trained)[0] is None
    assert rows.row_of(trained, [trained], published, label="")["n"] == 39


def test_the_tables_of_axes_say_what_decides_and_what_a_proxy_misjudges(published):
    """The truth goes by the norm alone, one proxy too, another turns it round."""
    order = {norm: float(place) for place, norm in enumerate(NORMS)}
    truth = [order[parse(name).norm] for name in NAMES]
    own = [record("whole", truth), record("random", truth), record("dm", [-t for t in truth])]
    own = [dataclasses.replace(r, results=dataclasses.replace(r.results, truth=truth)) for r in own]
    (page,) = pages(own, published).values()
    decided, misjudged = page.tables[-2:]
    assert row(decided, "whole (ground truth)").index[0] == "norm"
    assert row(decided, "dm ipc=50")["norm"] == "100 [100, 100]"
    assert row(decided, "accuracy on the whole dataset")["norm"] == "100 [100, 100]"
    assert row(misjudged, "random ipc=50")["norm"] == "0.00 [0.00, 0.00]"
    assert row(misjudged, "dm ipc=50")["norm"] == "2.00 [2.00, 2.00]"
    assert "whole (ground truth)" not in set(misjudged.frame["proxy"])
    assert "Each axis decides" in page.note


# ------------------------------------------------------------------ figures


def test_the_correlation_figure_shows_values_intervals_and_published_figures(page):
    frame = page.drawings["-correlation"].frame
    figure = figures.correlation(frame)
    places = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert places == list(page.frame["proxy"].drop(4))  # the ground truth alone is left out
    for axis, share in zip(figure.axes, ("all networks", "top 20 %"), strict=True):
        part = frame[frame["networks"] == share].set_index("proxy")
        assert axis.get_title() == share
        bars = {c.get_label(): c for c in axis.containers}
        for proxy, own in part.iterrows():
            point, _, (bar,) = bars[proxy].lines
            assert point.get_xdata() == [own["value"]] and point.get_ydata() == [proxy]
            (ends,) = bar.get_segments()
            assert ends[:, 0].tolist() == pytest.approx([own["low"], own["high"]])
        (crosses,) = [c for c in axis.collections if isinstance(c, PathCollection)]
        assert sorted(crosses.get_offsets()[:, 0]) == sorted(part["reported"].dropna())


def test_the_scatter_shows_every_trained_network_and_no_failed_one(page):
    frame = page.drawings["-scatter"].frame
    assert (frame["proxy"] == "random ipc=50").sum() == 39
    assert (frame["proxy"] == "datadam ipc=50").sum() == 40
    assert "parameters" not in set(frame["proxy"])
    figure = figures.scatter(frame)
    for axis in figure.axes:
        part = frame[frame["proxy"] == axis.get_title()]
        (points,) = axis.collections
        assert sorted(map(tuple, points.get_offsets().tolist())) == sorted(
            zip(part["accuracy"], part["truth"], strict=True)
        )


def test_the_growth_figure_shows_each_look(page):
    frame = page.drawings["-growth"].frame
    (axis,) = figures.growth(frame).axes
    lines = {line.get_label(): line for line in axis.lines}
    assert lines.keys() == set(frame["proxy"])
    # The first look gives all networks one accuracy: nothing to correlate.
    assert lines["datadam ipc=50"].get_xydata().tolist() == [[80.0, -1.0]]


def test_the_growth_figure_has_a_line_for_each_proxy_however_many_there_are():
    names = [f"dm ipc={ipc}" for ipc in range(31)]
    frame = pd.DataFrame({"proxy": names, "steps": 1, "spearman": 0.5})
    assert {line.get_label() for line in figures.growth(frame).axes[0].lines} == set(names)


def test_the_importance_figure_shows_each_share_and_the_truth_as_a_line(page):
    frame = page.drawings["-importance"].frame
    figure = figures.importance(frame)
    axes = list(frame["axis"].unique())
    assert axes == ["depth", "width", "norm"] and len(figure.axes) == 6
    truth = frame[frame["truth"]].set_index("axis")
    for axis, panel in zip(axes, figure.axes, strict=False):
        own = frame[(frame["axis"] == axis) & ~frame["truth"] & (frame["measure"] == EXPLAINED)]
        points = [bar.lines[0].get_xydata()[0][0] for bar in panel.containers]
        assert sorted(points) == sorted(own["value"])
        line = panel.lines[-1].get_xdata()
        assert list(line) == [truth.loc[axis, "value"]] * 2 and panel.get_title() == axis
    assert (frame["low"] <= frame["high"]).all() and (frame["low"] >= 0).all()


def test_the_truth_alone_has_tables_of_the_axes_and_no_figure(published):
    (page,) = pages(RECORDS[:1], published).values()
    assert "How much each axis decides (%, of the ranks):" in [t.caption for t in page.tables]
    assert not page.drawings


def drawn(own, end):
    """The only page of records, and its figure of that name."""
    (page,) = pages(own, []).values()
    drawing = page.drawings[end]
    return page, drawing.draw(drawing.frame)


def places(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def test_a_proxy_that_ties_among_the_best_keeps_its_row_there_empty():
    own = [record("random", TRUTH), record("datadam", TRUTH[:32] + [99.0] * 8)]
    _, figure = drawn(own, "-correlation")
    assert places(figure.axes[0]) == ["random ipc=50", "datadam ipc=50"]
    for axis, empty in zip(figure.axes, ([False, False], [False, True]), strict=True):
        points = [bar.lines[0].get_xdata()[0] for bar in axis.containers]
        assert [math.isnan(point) for point in points] == empty


def test_a_value_beyond_its_interval_is_drawn():
    own = [record("synflow", [9.0] + [None] * 39)]
    page, figure = drawn(own, "-correlation")
    shown = page.frame.iloc[0]
    assert shown["Spearman, all"] > shown["Spearman, all high"]
    point, _, (bar,) = figure.axes[0].containers[0].lines
    assert bar.get_segments()[0][1, 0] == point.get_xdata()[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scores", [[5.0] * 40, [9.0] + [None] * 39, [None] * 40])
def test_a_proxy_without_a_ranking_has_no_shares_and_no_place_in_their_figure(scores):
    own = [record("whole", TRUTH), record("random", TRUTH), record("datadam", scores)]
    page, figure = drawn(own, "-importance")
    assert places(figure.axes[0]) == ["random ipc=50"]
    assert list(row(page.tables[-1], "datadam ipc=50")) == ["–"] * 3


@pytest.mark.filterwarnings("error")
def test_a_truth_that_ranks_nothing_has_no_line_and_nothing_is_lost():
    own = [record("whole", [5.0] * 40), record("random", TRUTH)]
    own = [
        dataclasses.replace(r, results=dataclasses.replace(r.results, truth=[5.0] * 40))
        for r in own
    ]
    page, figure = drawn(own, "-importance")
    assert set(page.drawings["-importance"].frame["measure"]) == {EXPLAINED}
    assert places(figure.axes[0]) == ["random ipc=50"] and not figure.legends


def test_a_failed_trial_on_the_whole_dataset_is_known_of_a_given_record_alone(tmp_path):
    own = record("whole", [1.5, None, *TRUTH[2:]])
    path = own.write(tmp_path / "records")
    trials = types.SimpleNamespace(identity=lambda: made_as(own))
    found = truth.known(trials, None, [tmp_path / "records"])
    assert found[NAMES[0]] == 1.5 and NAMES[1] not in found and len(found) == 39
    assert truth.known(trials, path, [])[NAMES[1]] is None
