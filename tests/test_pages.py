"""What is shown of continual learning and of classification: the figures of the raw records."""

import dataclasses
import math

import matplotlib.pyplot as plt
import pytest

from benchmarks import evidence, figures, reported
from benchmarks.classification.page import pages as classification_pages
from benchmarks.continual.figures import curves
from benchmarks.continual.page import curve_frame
from benchmarks.continual.page import pages as continual_pages
from benchmarks.evidence import Run
from benchmarks.page import markdown
from benchmarks.record import RESULTS
from distill.train import Recipe

from records import CIFAR10, DIGITS_RECIPE, classification_record, continual_record

REPORTED = reported.read(RESULTS / "reported.csv")
PUBLISHED = next(
    row
    for row in REPORTED
    if (row.experiment, row.dataset, row.ipc, row.method, row.by)
    == ("classification", "cifar10", 1, "datadam", "authors")
)


def only(pages):
    (page,) = pages.values()
    return page


def page_of(*records, published=REPORTED):
    pages = continual_pages if records[0].kind == "continual" else classification_pages
    return only(pages(records, published))


def cells(page, place=-1):
    """The rows of a table as dictionaries."""
    return page.tables[place].frame.to_dict("records")


def final_runs(record):
    """The final accuracies, worked out here: every test image counts once."""
    values = []
    for order, own in enumerate(record.results.matrices):
        sizes = record.results.sizes[order]
        for network, matrix in enumerate(own):
            right = sum(a * size for a, size in zip(matrix[-1], sizes, strict=True))
            number = order % record.cell.making.sets
            values.append(Run(number, order, network, right / sum(sizes)))
    return values


def shown(estimate, sign=""):
    text = f"{estimate.mean:{sign}.1f} [{estimate.low:{sign}.1f}, {estimate.high:{sign}.1f}]"
    return text.replace("-", "\u2212") if sign else text


def check_numbers(row, name, estimate):
    for end, value in (("", estimate.mean), (" low", estimate.low), (" high", estimate.high)):
        assert row[name + end] == pytest.approx(value, abs=6e-4, nan_ok=True)


def test_continual_shows_what_the_evidence_says_of_the_raw_accuracies():
    random, ours = continual_record(), continual_record("datadam", drawn=1, shift=5.0)
    page = page_of(ours, random)
    rows, numbers = cells(page), page.frame.to_dict("records")
    assert [row["buffer"] for row in rows] == ["random", "datadam"]
    for record, row, number in zip((random, ours), rows, numbers, strict=True):
        final = evidence.estimate(final_runs(record))
        assert row["final"] == shown(final) and row["n"] == "2 × 4 × 2"
        check_numbers(number, "final", final)
        assert (number["sets"], number["orders"], number["networks"]) == (2, 4, 2)
        assert row["KB"] == 0.6 and row["distill s"] == 2.0 and row["train s"] == 12.5
        assert row["commit"] == "abcdef1"
    difference = evidence.paired(final_runs(ours), final_runs(random))
    assert rows[1]["minus random"] == shown(difference, "+") and rows[0]["minus random"] == "–"
    check_numbers(numbers[1], "minus random", difference)
    assert math.isnan(numbers[0]["minus random"])


def test_forgetting_transfer_and_incremental_accuracy_are_those_of_the_matrices():
    record = continual_record(sets=1, orders=1, networks=1)
    ((matrix,),) = record.results.matrices
    first, last = record.results.sizes[0]
    row = page_of(record).frame.to_dict("records")[0]
    final = (matrix[1][0] * first + matrix[1][1] * last) / (first + last)
    assert row["final"] == pytest.approx(final, abs=6e-4)
    assert row["incremental"] == pytest.approx((matrix[0][0] + final) / 2, abs=6e-4)
    assert row["forgetting"] == pytest.approx(matrix[0][0] - matrix[1][0], abs=6e-4)
    assert row["transfer"] == pytest.approx(matrix[1][0] - matrix[0][0], abs=6e-4)


def test_one_step_forgets_nothing_and_one_run_has_no_interval():
    page = page_of(continual_record(sets=1, orders=1, networks=1, steps=1))
    (row,) = cells(page)
    assert row["forgetting"] == row["transfer"] == "–" and "[" not in row["final"]
    assert "nan" not in page.text.lower()


def test_differences_are_of_the_same_sets_orders_and_networks():
    """A record of more orders and networks is compared where both have been."""
    random = continual_record(orders=4, networks=2)
    ours = continual_record("dm", drawn=3, orders=6, networks=3)
    difference = evidence.paired(final_runs(ours), final_runs(random))
    assert (difference.orders, difference.networks) == (4, 2)
    (row,) = [row for row in cells(page_of(random, ours)) if row["buffer"] == "dm"]
    assert row["minus random"] == shown(difference, "+") and row["n"] == "2 × 6 × 3"
    one_set = continual_record("dm", drawn=3, sets=1)
    own = {run[:3]: run.value for run in final_runs(one_set)}
    pairs = [(own[r[:3]], r.value) for r in final_runs(random) if r[:3] in own]
    assert len(pairs) == 4, "orders 0 and 2, the two of set 0"
    (row,) = [row for row in cells(page_of(random, one_set)) if row["buffer"] == "dm"]
    mean = f"{sum(a - b for a, b in pairs) / 4:+.1f}"
    assert row["minus random"].replace("\u2212", "-").split(" ")[0] == mean


@pytest.mark.parametrize(
    "other",
    [
        continual_record(ipc=2),
        continual_record(seed=1),
        continual_record(recipe=Recipe(epochs=200)),
        continual_record("herding"),
    ],
    ids=["ipc", "seed", "epochs", "method"],
)
def test_nothing_is_compared_with_what_was_run_otherwise(other):
    ours = continual_record("datadam", drawn=1)
    for page in continual_pages([ours, other], REPORTED).values():
        assert all(row["minus random"] == "–" for row in cells(page))
        assert "Minus random" not in page.text


@pytest.mark.parametrize("make", [continual_record, classification_record])
def test_random_images_are_the_reference_under_every_preset(make):
    ours, random = make("datadam", label="datadam paper"), make("random", label="random paper")
    rows = cells(page_of(ours, random))
    assert [row["minus random"] for row in rows] == ["–", "+0.0 [+0.0, +0.0]"]


def test_the_summary_shows_finals_and_differences_by_images_a_class():
    records = [continual_record(), continual_record(ipc=2), continual_record("dm", 2, shift=3.0)]
    page = page_of(*records)
    finals, differences = (table.frame for table in page.summary)
    assert list(finals) == ["images per class", "random", "dm"]
    assert finals["images per class"].tolist() == [1, 2]
    assert list(differences) == ["images per class", "dm"]
    assert differences["dm"].tolist() == ["+3.0 [+3.0, +3.0]"]
    assert finals["dm"].isna().tolist() == [True, False]
    assert all(markdown(table.frame) in page.text for table in page.summary)


@pytest.mark.parametrize("make", [continual_record, classification_record])
def test_two_protocols_never_share_a_page_and_its_name_says_how_they_differ(make):
    pages = continual_pages if make is continual_record else classification_pages
    short, long = Recipe(epochs=200), Recipe(epochs=1000)
    named = pages([make(recipe=short), make("dm", recipe=short), make(recipe=long)], REPORTED)
    base = next(iter(pages([make()], REPORTED)))
    assert list(named) == [f"{base}-epochs-1000", f"{base}-epochs-200"]
    assert [len(page.frame) for page in named.values()] == [1, 2]


def test_no_page_is_named_by_a_digest():
    records = [classification_record(zca=zca) for zca in (True, False)]
    other = dataclasses.replace(CIFAR10, digest="feedfeedfeed")
    assert list(classification_pages(records, REPORTED)) == [
        "classification-cifar10-zca-0.1",
        "classification-cifar10-zca-None",
    ]
    records.append(classification_record(zca=False, dataset=other, recipe=Recipe(epochs=9)))
    named = classification_pages(records, REPORTED)
    assert len(named) == 3
    text = " ".join(named)
    assert not any(part in text for part in ("feed", "0a1b", CIFAR10.digest)), text


def test_images_that_only_their_digest_tells_apart_have_two_pages():
    other = dataclasses.replace(CIFAR10, digest="feedfeedfeed")
    records = [classification_record(), classification_record(dataset=other)]
    assert len(classification_pages(records, REPORTED)) == 2


def test_images_that_judge_have_a_page_of_their_own():
    for make, pages in (
        (continual_record, continual_pages),
        (classification_record, classification_pages),
    ):
        dataset = dataclasses.replace(CIFAR10, judged_on="validation")
        named = pages([make(dataset=CIFAR10), make(dataset=dataset)], REPORTED)
        assert len(named) == 2
        (name,) = [name for name in named if "validation" in name]
        assert "judged on validation images" in named[name].title


def test_two_records_of_one_label_have_two_rows_and_two_lines():
    records = [
        continual_record("datadam", sets=1, orders=5),
        continual_record("datadam", sets=5, orders=5, drawn=1),
        continual_record("datadam", 2),
    ]
    page = page_of(*records)
    assert [row["buffer"] for row in cells(page)] == ["datadam sets=1", "datadam sets=5", "datadam"]
    assert [row["n"] for row in cells(page)] == ["1 × 5 × 2", "5 × 5 × 2", "2 × 4 × 2"]
    finals = page.summary[0].frame
    assert finals.loc[0, "datadam sets=1"] != finals.loc[0, "datadam sets=5"]
    frame = curve_frame(records)
    assert not frame.duplicated(["ipc", "buffer", "classes"]).any()
    accuracies = ((31.0, 33.0),), ((31.0, 33.0),) * 2
    both = page_of(*(classification_record(accuracies=own) for own in accuracies))
    assert [row["method"] for row in cells(both)] == ["datadam sets=1", "datadam sets=2"]
    assert [row["n"] for row in cells(both)] == ["1 × 2", "2 × 2"]


def test_rows_stand_in_one_order_and_a_variant_after_its_method():
    methods = ["zeta", "datadam", "dm", "herding", "random"]
    records = [continual_record(method) for method in methods]
    records.append(continual_record("datadam", label="datadam power=1", config={"power": 1}))
    names = [row["buffer"] for row in cells(page_of(*records))]
    assert names == ["random", "herding", "dm", "datadam", "datadam power=1", "zeta"]


def test_a_row_is_marked_by_its_key():
    records = [continual_record(), continual_record("dm"), continual_record("dm", 2)]
    page = page_of(*records)
    marked = page.tables[-1].marked(records[1].key)
    assert marked[" "].tolist() == ["", "->", ""] and marked["buffer"].tolist()[1] == "dm"
    assert [" " in table.marked(records[1].key) for table in page.tables] == [False, False, True]


def test_classification_shows_what_the_evidence_says_of_the_raw_accuracies():
    random = classification_record("random", accuracies=((14.0, 15.0), (13.0, 15.5), (14.2, 14.9)))
    ours = classification_record()
    page = page_of(ours, random)

    def runs(record):
        values = record.results.accuracies
        return [Run(s, 0, n, value) for s, own in enumerate(values) for n, value in enumerate(own)]

    rows, numbers = cells(page), page.frame.to_dict("records")
    assert [row["method"] for row in rows] == ["random", "datadam"]
    accuracy = evidence.estimate(runs(ours))
    assert rows[1]["accuracy"] == shown(accuracy) and rows[1]["n"] == "3 × 2"
    check_numbers(numbers[1], "accuracy", accuracy)
    difference = evidence.paired(runs(ours), runs(random))
    assert rows[1]["minus random"] == shown(difference, "+")
    check_numbers(numbers[1], "minus random", difference)
    assert rows[0]["minus random"] == "–"
    assert "with ZCA" in page.title and "1000 epochs" in page.title


def test_the_published_figure_and_a_verdict_stand_beside_the_same_protocol():
    (row,) = cells(page_of(classification_record()))
    assert row["reported"] == "32 ± 1.2"
    accuracies = [(31.5,), (32.5,), (32.0,)]
    (row,) = cells(page_of(classification_record(accuracies=accuracies * 4)))
    assert row["verdict"] == "agrees"
    (row,) = cells(page_of(classification_record(accuracies=[(20.0,), (20.1,), (20.2,)])))
    assert row["verdict"] == "below by 11.9"


@pytest.mark.parametrize(
    "otherwise",
    [
        {"zca": False},
        {"network": "convnet-d3-w32-instance-relu-avg"},
        {"ipc": 2},
        {"config": {"formation": 2}},
        {"method": "herdin"},
        {"dataset": dataclasses.replace(CIFAR10, judged_on="validation")},
        {"dataset": dataclasses.replace(CIFAR10, name="cifar100000")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_nothing_is_reported_of_another_protocol(otherwise):
    page = page_of(classification_record(**otherwise))
    assert "reported" not in cells(page)[0] and "verdict" not in cells(page)[0]
    assert "reported:" not in page.note


@pytest.mark.parametrize(
    "recipe", [Recipe(epochs=300), Recipe(rate=0.05), Recipe(operations=("crop",))]
)
def test_a_stated_recipe_must_be_the_same(recipe):
    stated = dataclasses.replace(PUBLISHED, epochs=1000, recipe="dm")
    (row,) = cells(page_of(classification_record(), published=[stated]))
    assert row["reported"] == "32 ± 1.2"
    other = cells(page_of(classification_record(recipe=recipe), published=[stated]))[0]
    # Leaving out the operations that do not suit a dataset is the recipe's own rule.
    assert ("reported" in other) == (recipe.operations == ("crop",))


def test_the_published_figure_of_continual_learning_is_that_of_all_classes():
    """Figure 5 of the paper, CIFAR-100 at 20 images a class: read off at the last step."""
    rows = [r for r in REPORTED if r.experiment == "continual" and r.method == "datadam"]
    last = next(r for r in rows if r.classes == 100 and r.ipc == 20 and r.steps == 5)
    dataset = dataclasses.replace(CIFAR10, name=last.dataset)
    paper = {"dataset": dataset, "network": "convnet-d3-w128-instance-relu-avg"}
    record = continual_record("datadam", 20, steps=5, recipe=Recipe(), **paper)
    sets = [dataclasses.replace(s, images=100 * 20) for s in record.sets]
    record = dataclasses.replace(record, sets=sets)
    (row,) = cells(page_of(record))
    assert row["reported"].split(" ")[0] == f"{last.value:g}"
    half = dataclasses.replace(record, sets=[dataclasses.replace(s, images=1000) for s in sets])
    assert "reported" not in cells(page_of(half))[0]


def test_what_others_got_stands_beside_the_published_figure():
    theirs = dataclasses.replace(PUBLISHED, by="others", value=28.7, std=None, source="another")
    (row,) = cells(page_of(classification_record(), published=[PUBLISHED, theirs]))
    assert row["reported"] == "32 ± 1.2" and row["others got"] == "28.7"


def test_classes_seen_are_counted_from_uneven_steps():
    frame = curve_frame([continual_record(steps=3)])
    assert frame["classes"].tolist() == [4, 7, 10]
    two = continual_record("datadam", 2, steps=4, config={"formation": 2})
    assert curve_frame([two])["classes"].tolist() == [3, 6, 8, 10]


def test_a_curve_is_of_the_classes_seen_and_ends_at_the_final_accuracy():
    record = continual_record(steps=3)
    frame = curve_frame([record])
    final = evidence.estimate(final_runs(record))
    last = frame.iloc[-1]
    assert (last["accuracy"], last["low"], last["high"]) == (final.mean, final.low, final.high)
    first = [
        Run(order % 2, order, network, matrix[0][0])
        for order, own in enumerate(record.results.matrices)
        for network, matrix in enumerate(own)
    ]
    assert frame.iloc[0]["accuracy"] == evidence.estimate(first).mean


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


def test_a_drawing_becomes_a_png_and_is_known_by_what_it_shows():
    page = page_of(continual_record())
    drawing = page.drawings[""]
    assert figures.draw(drawing).startswith(b"\x89PNG")
    other = page_of(continual_record(drawn=1)).drawings[""]
    assert figures.digest(drawing) == figures.digest(page_of(continual_record()).drawings[""])
    assert figures.digest(other) != figures.digest(drawing)


def test_a_table_reads_well_as_plain_text():
    text = markdown(page_of(continual_record(), continual_record("dm")).tables[-1].frame)
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1 and lines[1].startswith("| --: | ---")
    assert "None" not in text and "nan" not in text


def test_a_page_names_the_commands_of_all_its_records():
    page = page_of(continual_record(), continual_record("dm"), continual_record("dm", 2))
    commands = [f"python -m benchmarks.continual --method {name}" for name in ("dm", "random")]
    assert page.commands == commands
    assert page.text.endswith("Made with:\n\n" + "".join(f"    {line}\n" for line in commands))


def test_what_is_of_no_other_recipe_has_the_name_of_the_protocol_alone():
    names = list(continual_pages([continual_record(recipe=DIGITS_RECIPE)], REPORTED))
    assert names == ["continual-digits-2-steps-retrain"]
