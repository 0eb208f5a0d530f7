"""The commands as a person types them: what they print and write, and what a mistake gets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import classification, continual
from distill import __main__ as distill_command
from distill import overrides
from distill.synthetic import SyntheticSet

from conftest import write_tree

ROOT = Path(__file__).parent.parent
QUICK = ["--method.iterations", "4", "--method.networks", "2", "--method.network", "convnet-w8"]


def test_distill_makes_and_saves_a_set(tmp_path, capsys):
    out = tmp_path / "set.safetensors"
    args = ["--method", "datadam", "--ipc", "2", "--seed", "3", "--out", str(out), *QUICK]
    distill_command.main([*args, "--export", str(tmp_path / "pictures")])
    made = SyntheticSet.load(out)
    assert len(made) == 20 and made.made["seed"] == 3 and made.made["config"]["iterations"] == 4
    assert made.made["normalisation"]["source"] == "digits train"
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 20
    printed = capsys.readouterr()
    assert str(out) in printed.out and f"{out}.png" in printed.out
    assert (tmp_path / "set.safetensors.png").exists()


def test_distill_with_zca_says_so(tmp_path):
    out = tmp_path / "set.safetensors"
    distill_command.main(["--zca", "--out", str(out), *QUICK])
    made = SyntheticSet.load(out).made["normalisation"]
    assert made["zca"] == 0.1 and "ZCA on digits train" in made["source"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A folder with the records of two buffers, made by the command itself."""
    out = tmp_path_factory.mktemp("runs")
    small = ["--orders", "1", "--network", "convnet-d2-w8", "--strategy", "replay"]
    continual.main(["--buffer", "random", *small, "--out", str(out)])
    continual.main(["--buffer", "datadam", *small, *QUICK, "--out", str(out)])
    return out


def test_continual_writes_a_record_with_all_that_made_it(records):
    (path,) = (records / "records").glob("*-datadam-*.json")
    record = json.loads(path.read_text())
    assert record["protocol"]["strategy"] == "replay"
    assert record["protocol"]["network"] == "convnet-d2-w8-instance-relu-avg"
    assert record["cell"]["variant"] == {
        "iterations": 4,
        "networks": 2,
        "network": "convnet-w8",
    }
    assert len(record["metrics"]["matrices"]) == 1
    assert 0 < record["metrics"]["final"] <= 100
    provenance = record["provenance"]
    assert provenance["command"].startswith("python -m benchmarks.continual --buffer datadam")
    assert provenance["versions"]["torch"] == torch.__version__.split("+")[0]
    assert {"cpu", "threads"} <= provenance["hardware"].keys()
    cost = record["cost"]
    assert cost["stored_images"] == 10 and cost["stored_bytes"] == 10 * 64 * 4
    assert cost["peak_mb"] > 100 and cost["seconds"]["distil"] > 0


def test_continual_shows_its_cell_beside_the_others(records, capsys):
    small = ["--orders", "1", "--network", "convnet-d2-w8", "--strategy", "replay"]
    continual.main(["--buffer", "random", *small, "--out", str(records)])
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if line.startswith("|")]
    assert rows[2].startswith("| ->") and " random " in rows[2]
    assert any(" datadam iterations=4 network=convnet-w8 networks=2 " in row for row in rows)
    assert "records/continual-digits-random-ipc1-replay-" in printed.out
    figure = Path(printed.out.split("figure: ")[1].strip())
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_classification_writes_a_record(tmp_path, capsys):
    args = ["--method", "random", "--seeds", "2", "--networks", "2", "--network", "convnet-w8"]
    classification.main([*args, "--epochs", "3", "--out", str(tmp_path)])
    (path,) = (tmp_path / "records").glob("classification-digits-random-*.json")
    record = json.loads(path.read_text())
    accuracies = record["metrics"]["accuracies"]
    assert len(accuracies) == 2 and len(accuracies[0]) == 2
    flat = [a for row in accuracies for a in row]
    assert record["metrics"]["accuracy"] == pytest.approx(sum(flat) / 4, abs=0.02)
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--buffer", "datadm"], "unknown buffer 'datadm'; accepted: datadam"),
        (["--buffer", "herdin"], "did you mean herding"),
        (["--dataset", "cifar11"], "unknown dataset 'cifar11'.*did you mean cifar10"),
        (["--network", "convnet-w64-batsch"], "'batsch'.*did you mean batch"),
        (["--preset", "papre"], "unknown preset 'papre'.*did you mean paper"),
        (["--strategy", "retrian"], "unknown strategy 'retrian'.*did you mean retrain"),
        (["--ipc", "0"], "--ipc takes 1 or more"),
        (["--ipc", "1000"], "--ipc 1000 is more than the 116 images of class '8' of digits"),
        (["--steps", "11"], "--steps 11 cannot be had with 10 classes; give 1 to 10"),
        (["--orders", "0"], "--orders 0 is no run"),
        (["--device", "cuda:7"], "device 'cuda:7' is not there; this machine has: cpu"),
        (["--ipcs", "2"], "Unrecognized options: --ipcs.*--ipc INT"),
        (["--ipc", "two"], "Error parsing --ipc"),
        (["--buffer", "datadam", "--method.powr", "2"], "Unrecognized.*--method.power FLOAT"),
        (["--dataset", "folder", "--image-size", "8", "--data-root", "/none"], "cannot read.*none"),
    ],
)
def test_a_mistake_gets_one_line(args, says, fails, tmp_path):
    import re

    error = fails(continual.main, [*args, "--out", str(tmp_path / "runs")])
    assert re.search(says, error), error


def test_a_negative_value_is_a_value_and_no_flag():
    flags = ["--method.networks", "-1"]
    command, rest = overrides.parse(continual.Continual, ["--ipc", "2", *flags], prog="x")
    assert command.ipc == 2 and rest == flags
    assert overrides.configure("dm", "digits", 1, "laptop", rest, prog="x")[1] == {"networks": -1}


def test_an_unusable_output_folder_is_said_before_the_work(fails, tmp_path):
    (tmp_path / "file").write_text("")
    for main in (continual.main, classification.main):
        assert "cannot write" in fails(main, ["--out", str(tmp_path / "file" / "runs")])
    error = fails(distill_command.main, ["--out", str(tmp_path / "file" / "set.safetensors")])
    assert "choose another --out" in error


def test_a_read_only_output_folder(fails, tmp_path):
    tmp_path.chmod(0o500)
    try:
        (tmp_path / "probe").touch()
    except PermissionError:
        assert "Permission denied" in fails(continual.main, ["--out", str(tmp_path)])
    else:
        pytest.skip("this user may write everywhere")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_of_pictures_runs_end_to_end(tmp_path, capsys):
    root = write_tree(tmp_path / "pets", ("cat", "dog", "eel"), count=4)
    args = ["--dataset", "folder", "--data-root", str(root), "--image-size", "8", "--steps", "3"]
    args += ["--orders", "1", "--strategy", "replay", "--out", str(tmp_path / "runs")]
    continual.main(["--buffer", "herding", *args])
    assert "folder-pets, 3 steps, replay" in capsys.readouterr().out


def test_a_process_ends_with_code_2_and_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.continual", "--buffer", "nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: unknown buffer 'nothing'")
    assert done.stderr.count("\n") == 1
