"""One command on several processes: real ones, started by torchrun or as other launchers do."""

import contextlib
import io
import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from launched import commands, workers

from distill.runtime import launch, ranks
from distill.runtime.compute import choose, usual_threads
from distill.runtime.mistake import Mistake
from distill.synthetic import SyntheticSet

from conftest import write_tree

ROOT = Path(__file__).parent.parent
SCRIPT = str(ROOT / "tests" / "launched.py")
ALONE = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def torchrun(number, *args):
    """Start so many ranks; the launcher."""
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(number)]
    port = f"--rdzv-endpoint=localhost:{free_port()}"
    return start([*line, "--rdzv-backend=c10d", port, *args], {})


def by_hand(*lines):
    """Start a rank for each list of arguments, with nothing but the environment variables."""
    port = free_port()
    around = {"WORLD_SIZE": str(len(lines)), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [
        start(
            [sys.executable, *line], {name: str(v) for name, v in (around | {"RANK": rank}).items()}
        )
        for rank, line in enumerate(lines)
    ]


def start(line, around):
    return subprocess.Popen(
        line,
        cwd=ROOT,
        env={**os.environ, **ALONE, **around},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process, seconds=120):
    """Its exit code and what it has printed."""
    try:
        out, error = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, out, error


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return str(server.getsockname()[1])


def in_this_process(*lines):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        commands(lines)


# ------------------------------------------------------------------ the same, bit for bit

METHOD = "--method.iterations 10 --method.networks 3 --method.network convnet-d2-w8"
DIGITS = f"--dataset digits {METHOD}"
COMMANDS = (
    "distill --method dm {DIGITS} --out {out}/set.safetensors",
    "classification --method dm {DIGITS} --sets 3 --networks 2 --network convnet-d2-w8 --epochs 3"
    " --out {out}",
    "ablation --method dm {DIGITS} --sets 3 --networks 2 --network convnet-d2-w8 --epochs 3"
    " --vary rate=2 --out {out}",
    "continual --buffer dm {DIGITS} --orders 3 --sets 1 --steps 5 --network convnet-d2-w8"
    " --epochs 3 --out {out}",
)


def facts(out):
    """What commands have found: of records the results, and which sets they are of."""
    records = [json.loads(path.read_text()) for path in sorted((out / "records").glob("*.json"))]
    small = SyntheticSet.load(out / "set.safetensors")
    used = [[one["digest"] for one in record["sets"]] for record in records]
    return small.digest(), [record["results"] for record in records], used


def test_two_ranks_find_what_one_process_finds(tmp_path, monkeypatch):
    one, two = (
        [line.format(DIGITS=DIGITS, out=tmp_path / name) for line in COMMANDS] for name in "12"
    )
    launcher = torchrun(2, SCRIPT, "commands", *two, two[0])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    in_this_process(*one)
    code, out, error = ended(launcher)
    assert code == 0, error
    assert facts(tmp_path / "1") == facts(tmp_path / "2")
    assert out.count("10 images: ") == 2 and out.count("record: ") == 4, "one rank prints"
    assert error.count("plan: 2 settings") == 1
    assert error.count("set.safetensors is there and whole") == 1, "when it was typed again"
    assert error.count("set 1 of ") == 3, "of one row, and of an ablation's two"
    assert not list((tmp_path / "2").glob("*.parts")) and not list((tmp_path / "2").glob(".*"))


def test_more_ranks_than_classes_and_no_torchrun(tmp_path):
    """Three ranks for two classes: one has nothing to do."""
    folder = write_tree(tmp_path / "pictures")
    line = f"--method dm --dataset folder --data-root {folder} --image-size 8 {METHOD}".split()
    running = by_hand(*[["-m", "distill", *line, "--out", str(tmp_path / "3.safetensors")]] * 3)
    in_this_process(" ".join(["distill", *line, "--out", str(tmp_path / "1.safetensors")]))
    for rank, (code, out, error) in enumerate(map(ended, running)):
        assert code == 0, error
        assert ("2 images" in out) == (rank == 0) and not (rank and (out or error))
    three, one = (SyntheticSet.load(tmp_path / f"{count}.safetensors") for count in (3, 1))
    assert three.digest() == one.digest()


# ------------------------------------------------------------------ how they end


def test_a_rank_that_dies_ends_all_and_the_same_command_goes_on(tmp_path):
    code, out, error = ended(torchrun(2, SCRIPT, "workers", str(tmp_path)))
    assert code != 0 and not out
    assert error.count("rank 1: warning: one is odd") == 1 and "nobody" not in error
    assert error.count("error: rank 1 has died; all others stop; run the same command again") == 1
    first = (tmp_path / "done.txt").read_text().split()
    assert sorted(first) == ["0", "1", "2", "3", "4", "5"], "4 was broken off, 6 not begun"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # on another number of ranks
        workers(tmp_path)
    assert said.getvalue() == "0 1 4 9 16 25 36\n"
    again = (tmp_path / "done.txt").read_text().split()[len(first) :]
    assert sorted(again) == ["4", "5", "6"], "what was finished is kept"


def test_however_ranks_end_all_end_and_one_says_why(tmp_path):
    (tmp_path / "other").mkdir()
    expected = {
        "before": "error: rank 1: no such thing here",
        "folder": f"error: rank 1 on {socket.gethostname()} does not see the folder {tmp_path}",
        "error": "error: rank 1: an error of ours",
    }
    running = {how: by_hand(*[[SCRIPT, how, str(tmp_path)]] * 2) for how in [*expected, "leader"]}
    results = {how: [ended(process) for process in both] for how, both in running.items()}
    for how, says in expected.items():
        (code, out, error), (other_code, _, other_error) = results[how]
        assert code == 2 and error.startswith(says) and error.count("\n") == 1, (how, error)
        assert other_code == (1 if how == "error" else 2)
        assert not other_error or (how == "error" and "ZeroDivisionError" in other_error)
    (code, _, error), (other_code, _, other_error) = results["leader"]
    assert (code, error, other_code) == (-9, "", 2)
    assert other_error.startswith("error: rank 0 has died") and other_error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["other"], "nothing is left"


def test_ranks_that_disagree_are_refused_by_name(tmp_path):
    line = f"-m distill --method dm {DIGITS} --out {tmp_path / 'set.safetensors'} --ipc".split()
    results = [ended(process) for process in by_hand([*line, "1"], [*line, "2"])]
    assert [code for code, *_ in results] == [2, 2]
    assert results[0][2].startswith("error: the ranks do not agree on --ipc: 2 on rank 1, 1 on ")
    assert results[0][2].count("\n") == 1 and not results[1][2]


# ------------------------------------------------------------------ what they send


@pytest.fixture
def connected(monkeypatch):
    """This process is a rank that meets others as ranks do, but there are none."""
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", free_port())
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr(ranks, "_part", launch.Part(0, 1, 0, 1))


def test_what_ranks_send_arrives_as_json_has_it(connected):
    value = {"a": [1, 0.1 + 0.2, float("inf"), None, True], "ü": "\u2028\x00"}
    assert ranks.exchange(value) == [value] and ranks.exchange((1, "b")) == [[1, "b"]]
    assert ranks.decided(lambda: 1e-323) == 1e-323
    with pytest.raises(TypeError, match="not JSON serializable"):
        ranks.exchange(torch.zeros(1))


class Pickled:
    """In the place of JSON: makes a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize(
    "sent",
    [pickle.dumps(Pickled()), b"[" * 10**6, b"\xff", b"[1", b"9" * 5000],
    ids=["pickle", "deep", "bytes", "cut", "large"],
)
def test_what_is_no_json_is_refused_and_never_unpickled(connected, monkeypatch, tmp_path, sent):
    monkeypatch.chdir(tmp_path)
    content = type("Content", (), {"encode": lambda self: sent})
    monkeypatch.setattr(ranks.json, "dumps", lambda value: content())
    with pytest.raises(
        Mistake, match=r"^rank 0 sends something else than JSON \(.*; start all with"
    ):
        ranks.exchange(1)
    assert not [*tmp_path.iterdir()]


def test_what_is_too_large_is_refused_before_it_is_sent(connected, monkeypatch):
    monkeypatch.setattr(ranks, "MOST", 9)
    assert ranks.exchange("a small") == ["a small"]
    with pytest.raises(Mistake, match="^rank 0 sends 10 bytes, and 1 to 9 are taken; start all w"):
        ranks.exchange("too long")


# ------------------------------------------------------------------ what a launcher says

SAID = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"MASTER_ADDR": None}, "WORLD_SIZE is 2 but MASTER_ADDR is not set; start with torchrun"),
        ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
        ({"RANK": None}, "RANK is not set"),
        ({"RANK": "2"}, "RANK 2 is none of 2 ranks, 0 to 1"),
        ({"RANK": "-1"}, "RANK is '-1', which is no number"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', which is no number"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(changes, says, monkeypatch, fails):
    for name, value in (SAID | changes).items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert says in fails(lambda args: ranks.led().__enter__(), [])


def test_one_rank_is_no_more_than_a_process(monkeypatch):
    for size in (None, "", "1"):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if size is not None:
            monkeypatch.setenv("WORLD_SIZE", size)
        with ranks.led():
            assert (ranks.world(), ranks.rank(), ranks.leading()) == (1, 0, True)
            assert ranks.exchange("a") == ["a"] and ranks.decided(lambda: "b") == "b"


def test_ranks_of_one_machine_share_its_cores_and_its_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    usual = usual_threads.__wrapped__
    for rank, gpu in enumerate(["cuda:0", "cuda:1", "cuda:0"]):
        monkeypatch.setattr(ranks, "_part", launch.Part(rank, 3, rank, 3))
        assert str(choose("auto")) == str(choose("cuda")) == gpu
        assert str(choose("cuda:1")) == "cuda:1" and str(choose("cpu")) == "cpu"
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert usual() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "8")
        assert usual() == 8, "as the user asked for"
