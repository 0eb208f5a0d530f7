"""What is shown of continual learning, and how records are gathered on pages."""

import dataclasses
import math

import pytest

from benchmarks import evidence
from benchmarks.classification.page import pages as classification_pages
from benchmarks.continual.page import curve_frame
from benchmarks.continual.page import pages as continual_pages
from benchmarks.continual.rows import n_of_all
from benchmarks.page import labels, markdown, names_for_people
from distill.training.recipes import Recipe

from paged import REPORTED, SHORT, cells, check_numbers, final_runs, page_of, shown, signed
from records import (
    CIFAR10,
    classification_record,
    continual_record,
    nas_record,
)


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


def test_what_a_protocol_has_not_and_what_it_leaves_out_have_other_names():
    """The trials of a search leave the usual precision out; images without ZCA say so."""
    rough, usual = nas_record(), later(nas_record(), 1)
    truth = rough.protocol.truth | {"precision": "bfloat16"}
    rough = dataclasses.replace(rough, protocol=dataclasses.replace(rough.protocol, truth=truth))
    assert list(names_for_people([rough, usual], lambda record: "nas")) == [
        "nas",
        "nas-precision-usual",
    ]
    whitened, plain = classification_record(), later(classification_record(zca=False), 1)
    named = list(names_for_people([whitened, plain], lambda record: "x"))
    assert named == ["x", "x-no-zca"]


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
