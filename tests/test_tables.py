import dataclasses
import re
import shutil

import pandas as pd
import pytest

from benchmarks import figures, frames, pages, report, tables
from benchmarks.pages import Drawing, describe
from benchmarks.record import Record, read
from benchmarks.tables import RESULTS, Tables
from distill.runtime.mistake import Mistake


def record(method="random", ipc=1, shift=0.0, **protocol):
    curves = [[90.0 + shift, 60.0 + shift], [92.0 + shift, 62.0 + shift]]
    return Record(
        kind="continual",
        protocol={
            "dataset": "digits",
            "steps": 2,
            "strategy": "retrain",
            "orders": 2,
            "networks": 1,
            "network": "convnet",
            "recipe": {"epochs": 3, "batch": 256},
            "seed": 0,
            **protocol,
        },
        cell={"method": method, "ipc": ipc, "preset": "laptop", "variant": {}, "config": {}},
        metrics={
            "final": 61.0 + shift,
            "final_std": 1.0,
            "final_std_orders": 1.0,
            "final_std_networks": 0.0,
            "incremental": 76.0,
            "forgetting": 30.0,
            "backward_transfer": -30.0,
            "curves": curves,
        },
        cost={
            "seconds": {"train": 2.0},
            "stored_images": 10 * ipc,
            "stored_bytes": 640 * ipc,
        },
        provenance={"command": f"python -m {method}", "commit": "abcdef123456", "clean": True},
    )


@pytest.fixture
def results(tmp_path):
    """A results folder with records of two protocols, and its tables and figures."""
    tmp_path = tmp_path / "results"
    tmp_path.mkdir()
    shutil.copy(RESULTS / "reported.csv", tmp_path)
    for each in (record(), record("datadam", shift=9.0), record("datadam", 2), record(steps=1)):
        each.write(tmp_path / "records")
    assert tables.main(Tables(results=tmp_path)) == 0
    return tmp_path


def test_the_committed_tables_and_figures_are_fresh():
    assert report.stale(RESULTS) == []


def test_a_record_comes_back_from_its_file(tmp_path):
    path = record().write(tmp_path)
    assert read([tmp_path]) == [record()]
    assert record().write(tmp_path) == path and len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_no_record_is_named(tmp_path):
    (tmp_path / "x.json").write_text('{"kind": 1')
    with pytest.raises(Mistake, match="x.json is not a record"):
        read([tmp_path])


def test_no_table_mixes_two_protocols(results):
    found = sorted(p.name for p in (results / "tables").glob("*.md"))
    assert len(found) == 2 and found[0].startswith("continual-digits-1steps-retrain-")
    text = (results / "tables" / found[1]).read_text()
    assert len(re.findall(r"^\| +1 \| random ", text, re.MULTILINE)) == 1
    assert dataclasses.replace(record(), version=2).protocol_key != record().protocol_key


def test_the_table_holds_what_the_records_say(results):
    (path,) = (results / "tables").glob("*2steps*.md")
    text = path.read_text()
    summary = [line for line in text.splitlines() if line.startswith("|")][:4]
    assert [cell.strip() for cell in summary[0].split("|")[1:-1]] == [
        "images per class",
        "random",
        "datadam",
    ]
    assert [c.strip() for c in summary[2].split("|")[1:-1]] == ["1", "61.0 ± 1.0", "70.0 ± 1.0"]
    assert [c.strip() for c in summary[3].split("|")[1:-1]] == ["2", "–", "61.0 ± 1.0"]
    assert "    python -m datadam" in text and "abcdef1" in text


def test_check_names_what_is_stale_and_regenerating_mends_it(results, capsys):
    assert tables.main(Tables(check=True, results=results)) == 0
    record("datadam", shift=5.0).write(results / "records")
    (results / "tables" / "old.md").write_text("nothing makes this")
    assert tables.main(Tables(check=True, results=results)) == 1
    said = capsys.readouterr().err
    assert "old.md" in said and said.count("2steps") == 3
    tables.main(Tables(results=results))
    assert tables.main(Tables(check=True, results=results)) == 0
    assert not (results / "tables" / "old.md").exists()


def test_a_figure_edited_by_hand_or_of_other_data_is_stale(results):
    (path,) = (results / "figures").glob("*2steps*.png")
    frame = frames.curve_frame([record(shift=1.0)])
    path.write_bytes(figures.draw(Drawing("curves", frame, describe(record()))))
    assert report.stale(results) == [path]


def test_the_readme_shows_the_summary(results):
    (path,) = (results / "tables").glob("*2steps*.md")
    readme = results.parent / "README.md"
    readme.write_text(f"before\n<!-- table {path.stem} -->\n<!-- end -->\nafter\n")
    try:
        assert report.stale(results) == [readme]
        tables.main(Tables(results=results))
        text = readme.read_text()
        assert text.startswith("before\n") and text.endswith("<!-- end -->\nafter\n")
        assert "61.0 ± 1.0 | 70.0 ± 1.0" in text and report.stale(results) == []
    finally:
        readme.unlink()


def test_classes_seen_are_counted_from_uneven_steps():
    frame = frames.curve_frame([record(steps=3)])
    assert sorted(frame["classes"].unique())[:2] == [4, 7]


def test_the_verdict_is_computed_by_its_rule():
    assert frames.verdict(31.4, 0.8, 32.0, 1.2) == "agrees"
    assert frames.verdict(29.0, 0.8, 32.0, 1.2) == "below by 3.0"
    assert frames.verdict(40.0, 0.5, 32.0, float("nan")) == "above by 8.0"
    assert frames.verdict(40.0, 0.5, float("nan"), float("nan")) == ""


def test_variants_of_a_method_have_rows_of_their_own():
    changed = dataclasses.replace(
        record("datadam"), cell={**record("datadam").cell, "variant": {"power": 1}}
    )
    frame = frames.continual_frame([record("datadam"), changed, record()])
    assert frame["buffer"].tolist() == ["random", "datadam", "datadam power=1"]


def test_a_wrong_results_folder(tmp_path):
    with pytest.raises(Mistake, match="no reported.csv"):
        tables.main(Tables(results=tmp_path))


def small_set(networks, iterations, *, power=None):
    """The record of networks trained on a set that DataDAM made of CIFAR-10."""
    variant = {"networks": networks, "iterations": iterations} | ({"power": power} if power else {})
    return dataclasses.replace(
        record("datadam"),
        kind="classification",
        protocol={
            "dataset": "cifar10",
            "zca": False,
            "network": "convnet-w32",
            "seeds": 2,
            "networks": 2,
        },
        cell={
            "method": "datadam",
            "ipc": 1,
            "variant": variant,
            "config": {"real_batch": 128} | variant,
        },
        metrics={
            "accuracy": 21.0,
            "accuracy_std": 0.7,
            "accuracies": [[20.0, 21.0], [21.0, 22.0]],
        },
        cost={"seconds": {"distil": 30.0, "train": 20.0}},
    )


def test_classification_rows_stand_by_method_and_then_by_what_a_set_took():
    chosen = {"method": "random", "ipc": 1, "variant": {}, "config": {}}
    records = [
        small_set(32, 300, power=1),
        small_set(32, 1000),
        small_set(32, 300),
        small_set(0, 600),
        dataclasses.replace(small_set(0, 0), cell=chosen),
    ]
    frame = frames.classification_frame(records, pd.DataFrame())
    assert list(zip(frame["method"], frame["targets"], frame["steps"].fillna(0), strict=True)) == [
        ("random", "", 0),
        ("datadam", "fresh networks", 600),
        ("datadam", "32 networks", 300),
        ("datadam", "32 networks", 1000),
        ("datadam power=1", "32 networks", 300),
    ]
    assert "nan" not in pages.markdown(frame).lower() and "<NA>" not in pages.markdown(frame)


def test_accuracy_stands_against_the_seconds_of_one_set():
    records = [small_set(0, 100), small_set(32, 300), small_set(32, 100, power=1), record()]
    frame = frames.tradeoff_frame(records)
    assert frame["targets"].tolist() == ["fresh", "32 bought"]
    assert frame["seconds"].tolist() == [15.0, 15.0] and frame["steps"].tolist() == [100, 300]
    assert frame["error"].round(3).tolist() == [0.5, 0.5]
    picture = figures.draw(Drawing("tradeoff", frame, "costs"))
    assert picture.startswith(b"\x89PNG")
