"""What results/ shows of architecture search."""

import pandas as pd
import pytest

from benchmarks import nas_frames, pages, report
from benchmarks.record import RESULTS, Record
from downstream import ranking, space

NAMES = [str(spec) for spec in space.every("laptop")[::18]]
TRUTH = [float(place) for place in range(40)]


def record(method, accuracies, seed=0, ipc=50, dataset="cifar10"):
    found = ranking.compare(accuracies, TRUTH, [1] * 40)
    return Record(
        kind="nas",
        protocol={
            "dataset": dataset,
            "space": "laptop",
            "networks": 40,
            "truth": {"seed": 0, "recipe": {"epochs": 1, "batch": 64}},
        },
        cell={
            "method": method,
            "ipc": ipc,
            "variant": {},
            "steps": 80,
            "seed": seed,
            "strategy": "grid",
        },
        metrics=found
        | {
            "chosen": NAMES[found["chosen"]],
            "chosen_parameters": 7,
            "chosen_flops": 2_000_000,
            "failed": {},
            "growth": [[5, 0.5, 0.4, 0.6], [80, 0.9, 0.8, 1.0]],
            "names": NAMES,
            "accuracies": accuracies,
            "truth": TRUTH,
        },
        cost={
            "seconds": {"distil": 60.0, "trials": 90.0},
            "stored_images": 500,
            "stored_bytes": 2048,
        },
        provenance={"command": f"python -m {method}", "commit": "abcdef123456", "clean": True},
    )


@pytest.fixture(scope="module")
def records():
    return [
        record("whole", TRUTH, ipc=None),
        record("whole", TRUTH[1:] + TRUTH[:1], ipc=None, seed=1),
        record("datadam", TRUTH[::-1]),
        record("random", [None, *TRUTH[1:]]),
    ]


@pytest.fixture(scope="module")
def page(records):
    return pages.nas_page(records, report.published(RESULTS))


def test_the_published_value_stands_beside_ours(page):
    shown = page.tables[0].set_index("proxy")
    assert list(shown.index) == ["random ipc=50", "datadam ipc=50", "whole", "whole seed=1"]
    assert shown.loc["datadam ipc=50", "Spearman, all"] == "-1.00 [-1.00, -1.00]"
    assert shown.loc["datadam ipc=50", "reported"] == "0.72"
    assert shown.loc["datadam ipc=50", "reported, top 20 %"] == "0.69"
    assert shown.loc["random ipc=50", "reported"] == "0.70"
    assert "another scale" in page.note


def test_nothing_is_reported_for_another_dataset(records):
    of_digits = [record("random", TRUTH, dataset="digits")]
    page = pages.nas_page(of_digits, report.published(RESULTS))
    assert "reported" not in page.tables[0] and "another scale" not in page.note


def test_what_was_chosen_and_what_it_cost(page):
    row = page.tables[1].set_index("proxy").loc["datadam ipc=50"]
    assert row["top-1"] == 0.0 and row["regret"] == 39.0 and row["chosen"] == NAMES[0]
    assert (row["images"], row["KB"], row["minutes"], row["distil min"]) == (500, 2.0, 1.5, 1.0)
    assert row["MFLOPs"] == 2.0


def test_the_ground_truth_is_not_compared_with_itself_but_with_another_seed(records, page):
    names = [nas_frames.proxy(r) for r in nas_frames.compared(records)]
    assert "whole" not in names and "whole seed=1" in names
    assert "whole" not in set(page.drawings["-scatter"].frame["proxy"])


def test_failed_trials_are_not_drawn(page):
    frame = page.drawings["-scatter"].frame
    assert (frame["proxy"] == "random ipc=50").sum() == 39
    assert (frame["proxy"] == "datadam ipc=50").sum() == 40


def test_each_norm_has_a_correlation_of_its_own(page):
    shown = page.tables[2].set_index("proxy")
    assert shown.columns.tolist()[:2] == ["no norm", "batch norm"]
    assert shown.loc["datadam ipc=50", "batch norm"] == "-1.00"
    assert shown.loc["random ipc=50", "all but batch"] == "1.00"
    assert nas_frames.among(pd.DataFrame({"accuracy": [1.0, 1.0], "truth": [1.0, 2.0]})) == "–"


def test_the_readme_shows_the_main_columns(page):
    assert page.summary.columns.tolist() == [
        "proxy",
        "Spearman, all",
        "without batch norm",
        "reported",
        "Spearman, top 20 %",
        "reported, top 20 %",
        "top-1",
        "regret",
        "images",
        "minutes",
    ]
