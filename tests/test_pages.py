"""What is shown of continual learning and of classification: the figures of the raw records."""

import dataclasses
import math
import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from benchmarks import evidence, figures, reported
from benchmarks.classification import rows
from benchmarks.classification.page import pages as classification_pages
from benchmarks.continual import rows as continual_rows
from benchmarks.continual.figures import curves
from benchmarks.continual.page import curve_frame
from benchmarks.continual.page import pages as continual_pages
from benchmarks.continual.rows import n_of_all
from benchmarks.evidence import Run
from benchmarks.order import in_order
from benchmarks.page import csv, difference, labels, made_with, markdown
from benchmarks.record import RESULTS
from distill.training.recipes import Recipe

from records import (
    CIFAR10,
    DIGITS_RECIPE,
    classification_record,
    continual_record,
    cost_record,
    nas_record,
)

SHORT = Recipe(epochs=9)
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


def shown(estimate):
    return f"{estimate.mean:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def signed(estimate):
    """A difference, bold where its interval leaves out 0."""
    text = f"{estimate.mean:+.1f} [{estimate.low:+.1f}, {estimate.high:+.1f}]"
    text = text.replace("-", "\u2212")
    return f"**{text}**" if estimate.low > 0 or estimate.high < 0 else text


def check_numbers(row, name, estimate):
    for end, value in (("", estimate.mean), (" low", estimate.low), (" high", estimate.high)):
        assert row[name + end] == pytest.approx(value, abs=6e-4, nan_ok=True)


def test_continual_shows_what_the_evidence_says_of_the_raw_accuracies():
    random, ours = continual_record(), continual_record("datadam", drawn=1, shift=5.0)
    page = page_of(ours, random)
    rows, numbers = cells(page), page.frame.to_dict("records")
    assert [row["buffer"] for row in rows] == ["random", "datadam"]
    for record, row, number in zip((random, ours), rows, numbers, strict=True):
        final = evidence.estimate(final_runs(record), within=evidence.PERCENT)
        assert (
            row["final"] == shown(final) and row["n"] == "8 (4 class orders × 2 networks, 2 sets)"
        )
        check_numbers(number, "final", final)
        assert [number[n] for n in ("runs", "sets", "orders", "networks")] == [8, 2, 4, 2]
        assert row["KiB"] == 0.6 and row["distill s"] == 2.0 and row["train s"] == 12.5
        assert row["commit"] == "abcdef1"
    difference = evidence.paired(final_runs(ours), final_runs(random))
    assert rows[1]["minus random"] == signed(difference) and rows[0]["minus random"] == "–"
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
    """A row of fewer runs is compared with those of the reference, one of more with nothing."""
    random = continual_record(orders=6, networks=3)
    ours = continual_record("dm", drawn=3, orders=4, networks=2)
    reference = {run[:3]: run.value for run in final_runs(random)}
    pairs = [run._replace(value=run.value - reference[run[:3]]) for run in final_runs(ours)]
    (row,) = [row for row in cells(page_of(random, ours)) if row["buffer"] == "dm"]
    assert row["minus random"] == signed(evidence.estimate(pairs)) and len(pairs) == 8
    for more in ({"orders": 7}, {"networks": 4}, {"sets": 3, "orders": 6}):
        other = continual_record("dm", drawn=3, **{"orders": 6, "networks": 3, **more})
        (row,) = [row for row in cells(page_of(random, other)) if row["buffer"] == "dm"]
        assert row["minus random"] == "–", more


def test_a_difference_is_bold_only_where_its_interval_leaves_out_0():
    near, far = (continual_record("dm", shift=by, drawn=drawn) for by, drawn in ((0, 1), (9, 0)))
    for record, bold in ((near, False), (far, True)):
        (row,) = [r for r in cells(page_of(continual_record(), record)) if r["buffer"] == "dm"]
        assert row["minus random"].startswith("**") == bold
        assert row["minus random"].endswith("]**" if bold else "]")


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


def test_differences_to_datadam_are_to_its_preset_and_not_to_a_variant():
    """Its own row has none; of two presets the first is meant, alone the published settings are."""
    laptop = continual_record("datadam", config={"networks": 128})
    variant = {"label": "datadam power=1", "config": {"power": 1}, "drawn": 2}
    variant = continual_record("datadam", **variant)
    paper = continual_record("datadam", label="datadam paper", shift=2.0)
    dm = continual_record("dm", drawn=1)

    def differences(*records):
        return {row["buffer"]: row["minus datadam"] for row in cells(page_of(*records))}

    shown = differences(laptop, variant, dm)
    against = {r.label: evidence.paired(final_runs(r), final_runs(laptop)) for r in (variant, dm)}
    assert shown == {"datadam": "–"} | {name: signed(e) for name, e in against.items()}
    assert differences(laptop, paper)["datadam paper"] == "**+2.0 [+2.0, +2.0]**"
    assert differences(paper, dm)["dm"] == signed(
        evidence.paired(final_runs(dm), final_runs(paper))
    )
    assert differences(variant, dm)["dm"] == "–"


def test_the_summary_shows_finals_and_differences_by_images_a_class():
    records = [continual_record(), continual_record(ipc=2), continual_record("dm", 2, shift=3.0)]
    page = page_of(*records)
    finals, differences = (table.frame for table in page.summary)
    assert list(finals) == ["images per class", "random", "dm"]
    assert finals["images per class"].tolist() == [1, 2]
    assert list(differences) == ["images per class", "dm"]
    assert differences["dm"].tolist() == ["**+3.0 [+3.0, +3.0]**"]
    assert finals["dm"].isna().tolist() == [True, False]
    assert all(markdown(table.frame) in page.text for table in page.summary)


def test_n_of_a_table_is_said_once_where_rows_agree_and_a_single_epoch_is_one():
    recipe = dataclasses.replace(continual_record().protocol.recipe, epochs=1)
    naive, random = (continual_record(name, recipe=recipe) for name in ("naive", "random"))
    fewer = continual_record("naive", recipe=recipe, orders=3)
    assert [n_of_all(own) for own in ([naive, random], [fewer, random], [naive])] == [
        "8 (4 class orders × 2 networks, 2 sets); naive has no sets",
        "6 (3 class orders × 2 networks) or 8 (4 class orders × 2 networks, 2 sets)",
        "8 (4 class orders × 2 networks)",
    ]
    assert " 1 epoch, batch " in page_of(random).title


def later(record, day):
    provenance = dataclasses.replace(record.provenance, date=f"2026-01-{day:02}T00:00:00+00:00")
    return dataclasses.replace(record, provenance=provenance)


@pytest.mark.parametrize("make", [continual_record, classification_record])
def test_two_protocols_never_share_a_page_and_a_new_one_renames_none(make):
    pages = continual_pages if make is continual_record else classification_pages
    (base,) = pages([make()], REPORTED)
    short, long, fast = Recipe(epochs=200), Recipe(epochs=1000), Recipe(epochs=1000, rate=0.5)
    records = [make(recipe=short), later(make("dm", recipe=short), 3)]
    records += [later(make(recipe=long), 1), later(make(recipe=fast), 2)]
    named = pages(records[::-1], REPORTED)
    assert {name: len(page.frame) for name, page in named.items()} == {
        base: 2,
        f"{base}-epochs-1000": 1,
        f"{base}-epochs-1000-rate-0.5": 1,
    }
    assert "1000 epochs" in named[f"{base}-epochs-1000"].title


def test_no_page_is_named_by_a_digest():
    """ZCA names the images that it was fitted on; the name of a page does not."""
    records = [classification_record(zca=False), later(classification_record(), 1)]
    named = list(classification_pages(records, REPORTED))
    assert named == ["classification-cifar10", "classification-cifar10-zca-0.1"]
    other = dataclasses.replace(CIFAR10, digest="feedfeedfeed")
    records.append(later(classification_record(zca=False, dataset=other, recipe=SHORT), 2))
    named = classification_pages(records, REPORTED)
    assert "classification-cifar10-epochs-9" in named and len(named) == 3


def test_images_that_only_their_digest_tells_apart_have_pages_of_their_own():
    records = [classification_record()]
    for day, digest in ((1, "feedfeedfeed"), (2, "beefbeefbeef")):
        dataset = dataclasses.replace(CIFAR10, digest=digest)
        records.append(later(classification_record(dataset=dataset), day))
        records.append(later(classification_record(dataset=dataset, recipe=SHORT), day))
    assert len(classification_pages(records, REPORTED)) == 5


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


def test_no_table_mixes_precisions_and_each_names_its_own():
    for make, pages in (
        (continual_record, continual_pages),
        (classification_record, classification_pages),
    ):
        named = pages([make(), later(make(precision="bfloat16"), 1)], REPORTED)
        titles = {name: page.title for name, page in named.items()}
        assert ["bfloat16" in title for title in titles.values()] == [False, True]
        assert [name.endswith("-precision-bfloat16") for name in titles] == [False, True]


def test_two_records_of_one_label_have_two_rows_and_two_lines():
    records = [
        continual_record("datadam", sets=1, orders=5),
        continual_record("datadam", sets=5, orders=5, drawn=1),
        continual_record("datadam", 2),
    ]
    page = page_of(*records)
    assert [row["buffer"] for row in cells(page)] == ["datadam sets=1", "datadam sets=5", "datadam"]
    assert [row["n"] for row in cells(page)] == [
        "10 (5 class orders × 2 networks, 1 set)",
        "10 (5 class orders × 2 networks, a set for each order)",
        "8 (4 class orders × 2 networks, 2 sets)",
    ]
    finals = page.summary[0].frame
    assert finals.loc[0, "datadam sets=1"] != finals.loc[0, "datadam sets=5"]
    frame = curve_frame(records)
    assert not frame.duplicated(["ipc", "buffer", "classes"]).any()
    accuracies = ((31.0, 33.0),), ((31.0, 33.0),) * 2
    both = page_of(*(classification_record(accuracies=own) for own in accuracies))
    assert [row["method"] for row in cells(both)] == ["datadam sets=1", "datadam sets=2"]
    assert [row["n"] for row in cells(both)] == [
        "2 (1 set × 2 networks)",
        "4 (2 sets × 2 networks)",
    ]


def test_rows_stand_in_one_order_and_a_variant_after_its_method():
    methods = ["zeta", "datadam", "dm", "herding", "random"]
    records = [continual_record(method) for method in methods]
    records.append(continual_record("datadam", label="datadam power=1", config={"power": 1}))
    names = [row["buffer"] for row in cells(page_of(*records))]
    assert names == ["random", "herding", "dm", "datadam", "datadam power=1", "zeta"]


def test_a_row_is_marked_by_its_key():
    records = [continual_record(), continual_record("dm"), continual_record("dm", 2)]
    page = page_of(*records)
    marked = page.tables[-1].marked({records[1].key})
    assert marked[" "].tolist() == ["", "->", ""] and marked["buffer"].tolist()[1] == "dm"
    assert [" " in table.marked({records[1].key}) for table in page.tables] == [False, False, True]


def test_classification_shows_what_the_evidence_says_of_the_raw_accuracies():
    random = classification_record("random", accuracies=((14.0, 15.0), (13.0, 15.5), (14.2, 14.9)))
    ours = classification_record()
    page = page_of(ours, random)

    def runs(record):
        values = record.results.accuracies
        return [Run(s, 0, n, value) for s, own in enumerate(values) for n, value in enumerate(own)]

    rows, numbers = cells(page), page.frame.to_dict("records")
    assert [row["method"] for row in rows] == ["random", "datadam"]
    accuracy = evidence.estimate(runs(ours), within=evidence.PERCENT)
    assert rows[1]["accuracy"] == shown(accuracy) and rows[1]["n"] == "6 (3 sets × 2 networks)"
    check_numbers(numbers[1], "accuracy", accuracy)
    difference = evidence.paired(runs(ours), runs(random))
    assert rows[1]["minus random"] == signed(difference)
    check_numbers(numbers[1], "minus random", difference)
    assert rows[0]["minus random"] == "–"
    assert "with ZCA" in page.title and page.title.endswith("recipe dm (1000 epochs)")


def test_classification_compares_with_datadam_of_the_same_settings_else_with_the_plain_one():
    def of(method, accuracy, *, label=None, **config):
        words = [method, *(f"{name}={value}" for name, value in config.items())]
        own = tuple((accuracy + s, accuracy + s) for s in (0.0, 1.0, 2.0))
        label = label or " ".join(words)
        return classification_record(method, label=label, config=config, accuracies=own)

    told = [of("datadam", 35.0, iterations=7), of("dm", 36.0, iterations=7, rate=2)]
    told += [of("dm", 37.0, iterations=7), of("datadam", 50.0, label="datadam paper", rate=3)]
    told += [of("dm", 51.0, label="dm paper", real_batch=256)]
    records = [of("datadam", 30.0), of("dm", 32.0), of("random", 20.0), *told]
    page = classification_pages(records, REPORTED)["classification-cifar10"]
    minus = {row["method"]: row["minus datadam"] for row in page.frame.to_dict("records")}
    assert math.isnan(minus.pop("datadam"))
    own = {"random": -10, "dm": 2, "datadam iterations=7": 5, "dm iterations=7": 2}
    own |= {"dm iterations=7 rate=2": 6, "datadam paper": 20, "dm paper": 1}
    assert minus == own and "minus datadam: " in page.note
    page = page_of(of("dm", 32.0), of("random", 20.0))
    assert "minus datadam" not in page.tables[0].frame and "minus datadam: " not in page.note


def test_the_published_figure_stands_beside_the_same_protocol():
    """Of DataDAM's no recipe is stated, so no verdict is passed on it."""
    page = page_of(classification_record())
    (row,) = cells(page)
    assert row["reported"] == "32 ± 1.2" and "verdict" not in row
    assert "reported:" in page.note


STATED = dataclasses.replace(PUBLISHED, norm="instance", epochs=1000, recipe="dm")


@pytest.mark.parametrize(
    ("accuracies", "says"),
    [
        ([(31.5,), (32.5,), (32.0,)] * 4, "agrees"),
        ([(20.0,), (20.1,), (20.2,)], "below by 11.9"),
        ([(40.0,), (40.1,), (40.2,)], "above by 8.1"),
        ([(31.0, 33.0)], "undecided; one set"),
        ([(28.0,), (36.0,)], r"undecided; about \d+ sets would decide"),
    ],
)
def test_a_verdict_is_passed_on_a_protocol_that_is_stated_whole(accuracies, says):
    record = classification_record(accuracies=accuracies, label="datadam paper")
    (row,) = cells(page_of(record, published=[STATED]))
    assert row["reported"] == "32 ± 1.2" and re.fullmatch(says, row["verdict"])


def test_a_recipe_without_dsa_has_pages_of_its_own_that_say_so():
    plain = dataclasses.replace(Recipe(), operations=())
    for epochs in (300, 1000):
        recipe = dataclasses.replace(plain, epochs=epochs)
        assert rows.base(classification_record(recipe=recipe)) == "classification-cifar10-dc"
        assert continual_rows.title(continual_record(recipe=recipe)).endswith(", no DSA")
    assert rows.base(classification_record()) == "classification-cifar10"
    assert "DSA" not in continual_rows.title(continual_record())


def test_no_verdict_is_passed_on_what_was_learned_in_other_networks():
    """Published columns of networks with batch norm are of sets that were learned in such."""
    record = classification_record(network="vgg11-batch", label="datadam paper")
    stated = dataclasses.replace(STATED, network="vgg11", norm="batch")
    (row,) = cells(page_of(record, published=[stated]))
    assert row["reported"] == "32 ± 1.2" and not row.get("verdict")


@pytest.mark.parametrize("name", ["network", "norm", "zca", "epochs", "recipe"])
def test_no_verdict_is_passed_on_a_protocol_that_is_not_stated(name):
    published = dataclasses.replace(STATED, **{name: None})
    (row,) = cells(page_of(classification_record(), published=[published]))
    assert row["reported"] == "32 ± 1.2" and "verdict" not in row


def test_no_verdict_is_passed_on_other_settings_of_a_method():
    laptop = classification_record(config={"networks": 128})
    paper = classification_record(config={"rate": 10.0}, label="datadam paper")
    variant = classification_record(config={"rate": 2.0}, label="datadam paper rate=2.0")
    for record, judged in ((laptop, False), (paper, True), (variant, False)):
        (row,) = cells(page_of(record, published=[STATED]))
        assert row["reported"] == "32 ± 1.2" and ("verdict" in row) == judged


@pytest.mark.parametrize(
    "otherwise",
    [
        {"zca": False},
        {"network": "convnet-d3-w32-instance-relu-avg"},
        {"network": "convnet-d3-w128-batch-relu-avg"},
        {"network": "convnet-d3-w128-instance-swish-max"},
        {"recipe": Recipe(epochs=300)},
        {"recipe": Recipe(rate=0.05)},
        {"recipe": Recipe(operations=())},
        {"recipe": Recipe(cutmix=0.5)},
        {"ipc": 2},
        {"config": {"formation": 2}},
        {"method": "dm"},
        {"dataset": dataclasses.replace(CIFAR10, judged_on="validation")},
        {"dataset": dataclasses.replace(CIFAR10, name="cifar100")},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)
def test_nothing_is_reported_of_another_protocol(otherwise):
    same = page_of(classification_record(), published=[STATED])
    assert cells(same)[0]["reported"] == "32 ± 1.2"
    page = page_of(classification_record(**otherwise), published=[STATED])
    assert "reported" not in cells(page)[0] and "verdict" not in cells(page)[0]
    assert "reported:" not in page.note


def test_leaving_out_what_does_not_suit_a_dataset_is_the_published_recipe():
    record = classification_record(recipe=Recipe(operations=("crop", "scale")))
    assert cells(page_of(record, published=[STATED]))[0]["reported"] == "32 ± 1.2"


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


@pytest.mark.parametrize("make", [continual_record, classification_record])
def test_the_rows_of_a_page_are_called_once_and_not_for_each_row(make, monkeypatch):
    calls = []

    def counted(records):
        calls.append(len(records))
        return labels(records)

    monkeypatch.setattr(f"benchmarks.{make().kind}.page.labels", counted)
    for count in (1, 3):
        calls.clear()
        page_of(*(make(method) for method in ("random", "dm", "herding")[:count]))
        assert len(calls) <= 2


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


@pytest.mark.parametrize(
    "where",
    [
        ("--out '/my runs/x'", "--workers 2", "--data-root /my"),
        ("--out='/my runs/x=1'", "--workers=2", "--data-root=/my"),
        ("--out /my=x", "--workers=2", "--data_root /my"),
        ("--out=/my", "--workers 2", "--data_root=/my"),
    ],
)
def test_a_command_on_a_page_does_not_say_where_its_files_went(where):
    command = "python -m benchmarks.continual {} --ipc 1 {} --seed 3 {}".format(*where)
    record = continual_record()
    provenance = dataclasses.replace(record.provenance, command=command)
    (page,) = continual_pages([dataclasses.replace(record, provenance=provenance)], []).values()
    assert page.commands == ["python -m benchmarks.continual --ipc 1 --seed 3"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ("", ""),
        (" --image-size 8", " --data-root pets"),
        (" --image_size=8", " --data-root pets"),
    ],
)
def test_where_the_images_lie_is_said_of_images_of_ones_own(size, shown):
    command, record = "python -m benchmarks.x{}{} --ipc 2", continual_record()
    ran = command.format(size, " --data-root pets")
    provenance = dataclasses.replace(record.provenance, command=ran)
    record = dataclasses.replace(record, provenance=provenance)
    assert made_with([record]) == [command.format(size, shown)]


def test_a_command_names_its_precision_where_another_machine_would_choose_another():
    def printed(record, words):
        own = dataclasses.replace(record.provenance, command=f"python -m benchmarks.x{words}")
        return made_with([dataclasses.replace(record, provenance=own)])[0]

    low = classification_record(precision="bfloat16")
    assert printed(low, "") == "python -m benchmarks.x --precision bfloat16"
    assert printed(classification_record(), "").endswith(" --precision float32")
    assert printed(low, " --precision=bfloat16 --ipc 1").endswith("--precision=bfloat16 --ipc 1")
    assert "precision" not in printed(continual_record(), "")  # of digits, float32 everywhere
    assert "precision" not in printed(nas_record(), "") + printed(cost_record(), "")
    truth = nas_record().protocol.truth  # which leaves float32 out
    for own, precision in ((truth, "float32"), ({**truth, "precision": "bfloat16"}, "bfloat16")):
        photographs = dataclasses.replace(nas_record().protocol, dataset=CIFAR10, truth=own)
        search = dataclasses.replace(nas_record(), protocol=photographs)
        assert printed(search, "").endswith(f" --precision {precision}")
    pets = classification_record(dataset=dataclasses.replace(CIFAR10, name="folder-pets"))
    assert printed(pets, " --image-size=32").endswith(" --image-size=32 --precision float32")
    assert printed(pets, " --image_size 16").endswith(" --image_size 16")


def test_a_difference_that_is_bold_shows_that_it_leaves_out_0():
    def of(mean, low, high):
        return difference(evidence.Estimate(mean, low, high, 1.0, 3, 1, 3, 9))

    assert of(-0.383, -0.98, -0.012) == "**\u22120.38 [\u22120.98, \u22120.01]**"
    assert of(0.5, 0.0004, 1.0) == "**+0.5000 [+0.0004, +1.0000]**"
    assert of(0.5, 0.06, 1.0) == "**+0.5 [+0.1, +1.0]**"
    assert of(0.5, -0.01, 1.0) == "+0.5 [\u22120.0, +1.0]"


def test_a_page_names_the_commands_of_all_its_records():
    page = page_of(continual_record(), continual_record("dm"), continual_record("dm", 2))
    commands = [f"python -m benchmarks.continual --method {name}" for name in ("dm", "random")]
    assert page.commands == commands
    assert page.text.endswith("Made with:\n\n" + "".join(f"    {line}\n" for line in commands))


def test_what_is_of_no_other_recipe_has_the_name_of_the_protocol_alone():
    names = list(continual_pages([continual_record(recipe=DIGITS_RECIPE)], REPORTED))
    assert names == ["continual-digits-2-steps-retrain"]


def test_networks_that_judge_are_told_from_those_of_the_method():
    few = classification_record(label="datadam networks=2", config={"networks": 2})
    records = [classification_record(accuracies=((31.0,) * n,) * 3) for n in (2, 5)]
    named = labels([*records, few])
    assert sorted(named.values()) == ["datadam --networks=2", "datadam --networks=5", few.label]


def test_what_rounds_otherwise_on_another_machine_is_the_same():
    frame = pd.DataFrame({"n": [1, 2], "share": [0.1 + 0.2, -1e-17], "of": [None, 2 / 3]})
    elsewhere = pd.DataFrame({"n": [1, 2], "share": [0.3, 1e-17], "of": [None, 1 - 1 / 3]})
    assert csv(frame) == csv(elsewhere) == "n,share,of\n1,0.3,\n2,0.0,0.666666667\n"
    assert csv(frame) != csv(elsewhere.assign(share=[0.3, 1e-8]))
