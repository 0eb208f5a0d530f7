"""The surface for programs: `import distill`, three functions, and every mistake in one line."""

import subprocess
import sys

import pytest
import torch

import distill
from distill import datasets
from distill.synthetic import SyntheticSet

QUICK = {"network": "convnet-d1-w8", "networks": 1, "real_batch": 10, "iterations": 2}


@pytest.fixture(scope="module")
def data():
    return distill.load_dataset("digits")


def test_the_readme_of_the_package_runs_as_it_stands(tmp_path, monkeypatch):
    """Every line of the example in the docstring, with fewer steps."""
    example = [line for line in distill.__doc__.splitlines() if line.startswith("    ")]
    quick = "\n".join(line.strip() for line in example).replace("ipc=1", "ipc=1, **quick")
    assert quick.count("**quick") == 1
    monkeypatch.chdir(tmp_path)
    names = {"quick": QUICK}
    exec("from pathlib import Path\n" + quick, names)
    small = names["small"]
    assert isinstance(small, SyntheticSet) and len(small) == 10
    pixels, label = small[3]
    assert pixels.shape == (1, 8, 8) and label == 3


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, distill\n"
        "assert callable(distill.distill) and callable(distill.open_set)\n"
        "print(*sorted({'torch', 'numpy', 'tyro', 'sklearn', 'avalanche'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_all_that_is_offered_is_there_and_explained():
    for name in distill.__all__:
        assert callable(getattr(distill, name)) and getattr(distill, name).__doc__


def test_a_dataset_is_the_one_that_commands_use(data):
    assert data.digest() == datasets.load("digits").digest()
    assert (len(data.train), len(data.test)) == (1201, 596)
    assert data.train.normalisation is datasets.about("digits").normalisation


def test_a_set_of_a_program_is_that_of_the_command(data, tmp_path):
    from distill import __main__ as command

    out = tmp_path / "set.safetensors"
    flags = [f"--method.{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    command.main(["--method", "dm", "--ipc", "2", "--seed", "3", "--out", str(out), *flags])
    ours = distill.distill("dm", data.train, ipc=2, seed=3, **QUICK)
    theirs = distill.open_set(str(out))
    assert torch.equal(ours.images, theirs.images) and ours.digest() == theirs.digest()
    assert ours.made.config == theirs.made.config and ours.made.digests == theirs.made.digests


def test_finished_classes_are_found_again(data, tmp_path):
    first = distill.distill("dm", data.train.only([1, 2]), ipc=1, store=tmp_path / "sets", **QUICK)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "sets").iterdir()}
    again = distill.distill(
        "dm", data.train.only([2]), ipc=1, store=str(tmp_path / "sets"), **QUICK
    )
    assert torch.equal(again.images, first.images[1:]) and len(files) == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sets").iterdir()} == files


def test_the_preset_is_what_it_says(data):
    few = data.train.only([1])
    laptop = distill.distill("herding", few, ipc=1)
    paper = distill.distill("herding", few, ipc=1, preset="paper")
    assert "w32" in laptop.made.config["network"] and "w128" in paper.made.config["network"]


MISTAKES = [
    (lambda real: distill.load_dataset("digts"), "did you mean digits"),
    (lambda real: distill.load_dataset("digits", size=9), "leave --image-size out"),
    (lambda real: distill.load_dataset("folder", root="/nowhere", size=8), "there is no /nowhere;"),
    (lambda real: distill.distill("datadm", real, ipc=1), "did you mean datadam"),
    (lambda real: distill.distill("dm", real, ipc=1, preset="papr"), "did you mean paper"),
    (
        lambda real: distill.distill("datadam", real, ipc=1, powr=1),
        "unknown setting of datadam 'powr'.*did you mean power",
    ),
    (lambda real: distill.distill("random", real, ipc=1, power=1), "unknown setting of random"),
    (lambda real: distill.distill("datadam", real, ipc=1, rate=-1), "--method.rate -1: give above"),
    (lambda real: distill.distill("dm", real, ipc=1, formation=3), "can be cut by 1, 2"),
    (lambda real: distill.distill("random", real, ipc=0), "--ipc takes 1 or more"),
    (lambda real: distill.distill("random", real, ipc=999), "--ipc 999 is more than the 116"),
    (lambda real: distill.distill("random", real, ipc=1, device="cuda:9"), "'cuda:9' is not there"),
    (lambda real: distill.distill("random", real, ipc=1, store="/dev/null/x"), "cannot write"),
    (lambda real: distill.open_set("/nowhere/set"), "no synthetic set at /nowhere/set"),
    (lambda real: distill.open_set("/dev/null"), "not a whole synthetic set"),
]


@pytest.mark.parametrize(("wrong", "says"), MISTAKES)
def test_a_mistake_is_a_value_error_in_one_line(data, wrong, says):
    with pytest.raises(ValueError, match=says) as refusal:
        wrong(data.train)
    assert "\n" not in str(refusal.value)


def test_a_process_ends_with_code_2_and_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "distill", "--method.rate=-1", "--out", str(tmp_path / "set")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == "" and list(tmp_path.iterdir()) == []
    says = "--method.rate -1.0: give above 0; see python -m distill --help"
    assert done.stderr == f"error: {says}\n"


def test_a_programs_threads_are_as_they_were(data):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        distill.distill("random", data.train, ipc=1, device=torch.device("cpu"))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_both_halves_in_the_place_of_one_are_refused(data):
    with pytest.raises(ValueError, match="random takes images such as data.train, not a Data"):
        distill.distill("random", data, ipc=1)
    with pytest.raises(ValueError, match="there are no images of digits; give some"):
        distill.distill("random", data.train.only([]), ipc=1)


def test_paths_may_be_text(data, tmp_path):
    small = distill.distill("random", data.train, ipc=1)
    small.save(f"{tmp_path}/set.safetensors")
    assert SyntheticSet.load(f"{tmp_path}/set.safetensors").digest() == small.digest()
    small.export(f"{tmp_path}/pictures")
    small.grid(f"{tmp_path}/sheet.png")
    assert (tmp_path / "pictures" / "3").is_dir() and (tmp_path / "sheet.png").is_file()
