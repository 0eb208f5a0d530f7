"""The same command gives the same record, whatever ran before it and whatever lies in --out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_commands import briefly

from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.nas import __main__ as nas
from benchmarks.record import read
from distill import __main__ as distill_command
from distill.synthetic import SyntheticSet

ROOT = Path(__file__).parent.parent
QUICK = ["--method.iterations", "4", "--method.networks", "2", "--method.network", "convnet-w8"]
COMMANDS = {
    "classification": (
        classification.main,
        ["--sets", "2", "--networks", "2", "--network", "convnet-w8", "--epochs", "3", *QUICK],
        ["--seed", "5"],
    ),
    "continual": (
        continual.main,
        ["--steps", "2", "--orders", "2", "--sets", "2", "--network", "convnet-d2-w8", *QUICK],
        ["--seed", "5"],
    ),
    "nas": (
        nas.main,
        ["--proxy", "herding", "--networks", "3", "--epochs", "2", "--ipc", "2"],
        ["--seed", "5"],
    ),
}
"""Its main, its arguments, and what makes another command of it."""


def record_of(out, but=()):
    """What a command measured, without where and when: as text, so that bits count."""
    (record,) = (r for r in read([out / "records"]) if r.name not in but)
    digests = [used.digest for used in record.sets]
    measured = {name: value for name, value in vars(record.results).items() if name != "seconds"}
    return record.name, json.dumps([measured, digests], default=repr, sort_keys=True)


def disturb(monkeypatch):
    """What other work leaves behind in a process."""
    torch.manual_seed(99)
    np.random.seed(99)
    torch.set_num_threads(2)
    torch.backends.mkldnn.set_flags(True)
    monkeypatch.setenv("PYTHONHASHSEED", "3")


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_gives_the_same_record_after_others_and_beside_others(
    kind, tmp_path, monkeypatch
):
    briefly(monkeypatch)
    main, args, otherwise = COMMANDS[kind]
    out, again, beside = (tmp_path / name for name in ("one", "two", "three"))
    main([*args, "--out", str(out)])
    expected = record_of(out)
    disturb(monkeypatch)
    lower = ["--precision", "bfloat16"] if kind != "nas" else []
    main([*args, *otherwise, *lower, "--out", str(beside)])
    disturb(monkeypatch)
    main([*args, "--out", str(again)])
    assert record_of(again) == expected
    others = [path.name for path in (beside / "records").iterdir()]
    main([*args, "--out", str(beside)])
    assert record_of(beside, but=others) == expected


def test_a_set_is_the_same_in_a_fresh_process(tmp_path, monkeypatch):
    here, fresh = tmp_path / "here.safetensors", tmp_path / "fresh.safetensors"
    disturb(monkeypatch)
    distill_command.main(["--seed", "1", *QUICK, "--out", str(tmp_path / "other.safetensors")])
    distill_command.main([*QUICK, "--out", str(here)])
    command = [sys.executable, "-m", "distill", *QUICK, "--out", str(fresh)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    pictures = [path.with_suffix(".safetensors.png").read_bytes() for path in (here, fresh)]
    assert pictures[0] == pictures[1]
    assert SyntheticSet.load(here).digest() == SyntheticSet.load(fresh).digest()
