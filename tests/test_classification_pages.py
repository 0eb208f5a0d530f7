"""What is shown of networks trained on small sets alone, and beside what is published."""

import dataclasses
import math
import re

import pytest

from benchmarks import evidence
from benchmarks.classification import rows
from benchmarks.classification.page import pages as classification_pages
from benchmarks.continual import rows as continual_rows
from benchmarks.evidence import Run
from distill.training.recipes import Recipe

from paged import PUBLISHED, REPORTED, cells, check_numbers, page_of, shown, signed
from records import (
    CIFAR10,
    classification_record,
    continual_record,
)


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
