"""Runs that are killed go on where they stopped, to the same last bit, and two share their work.

A run here is the command itself on digits, in a forked process that ends itself by SIGKILL.
"""

import json
import os
import signal

import pytest
import torch

import downstream.continual.run  # noqa: F401  (seconds; forked processes have it then)
from benchmarks import record as records
from benchmarks.classification import __main__ as classification
from benchmarks.classification import run as classification_run
from benchmarks.continual import __main__ as continual
from benchmarks.provenance import provenance
from distill import checkpoints, learn, plan
from distill.checkpoints import Checkpoints
from distill.plan import Plan
from distill.runtime.compute import CPU
from distill.runtime.flags import parse
from distill.runtime.progress import Progress
from distill.runtime.store import Store
from distill.runtime.watch import Watch
from distill.runtime.work import Work
from distill.runtime.workers import Workers
from distill.sets import beforehand
from distill.sets.beforehand import SetSource
from distill.training import train
from downstream.continual.evaluation import Accuracies

from conftest import eventually

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="a forked process cannot train where there is a GPU"
)

SETS = "--method.iterations 6 --method.networks 2 --method.real-batch 10 "
SETS += "--method.network convnet-d2-w8 --device cpu --workers 1"
NETWORK = "--network convnet-d2-w8"
CLASSIFICATION = f"--method dm --sets 2 --networks 2 --epochs 6 {NETWORK} {SETS}"
CONTINUAL = f"--buffer dm --orders 2 --sets 1 --steps 3 --epochs 1 {NETWORK} {SETS}"
KINDS = {
    "classification": (classification, classification.Classification, CLASSIFICATION),
    "retrain": (continual, continual.Continual, CONTINUAL),
    "replay": (continual, continual.Continual, f"{CONTINUAL} --strategy replay"),
}


def record(kind, out, more=""):
    """What a command makes, but for showing it."""
    module, command, args = KINDS[kind]
    words = [*args.split(), *more.split(), "--out", str(out)]
    args = [
        word for pair in dict(zip(words[::2], words[1::2], strict=True)).items() for word in pair
    ]
    asked, flags = parse(command, args, prog="x")
    made = module.run(module.prepare(asked, flags), provenance("x", [], torch.device("cpu")))
    return made[0] if isinstance(made, list) else made


def figures(made):
    """What must be equal, bit for bit."""
    return repr(made.results), [used.digest for used in made.sets], made.key


COUNTED = {
    "step": (learn._Learned, "follow"),
    "batch": (train, "gradients"),
    "train": (classification_run.train, "fit"),
    "judge": (Accuracies, "before_eval"),
    "class": (plan, "_made"),
}
"""A step of distilling, one of training, a group of networks, a step of a class order, classes that
are made together."""


class Counts:
    """How often things were done, by all processes: a file of a line each."""

    def __init__(self, path):
        self.path = path
        self.file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def __getitem__(self, what):
        return self.path.read_text().split().count(what)

    def clear(self):
        os.truncate(self.path, 0)

    def line(self, what):
        os.write(self.file, f"{what}\n".encode())


@pytest.fixture
def counts(tmp_path, monkeypatch):
    counts = Counts(tmp_path / "counts")
    for what, (owner, name) in COUNTED.items():
        function = getattr(owner, name)

        def counted(*args, what=what, function=function, **kwargs):
            counts.line(what)
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)
    return counts


def forked(function):
    """The number of a process that does this and ends."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(120)
        function()
        code = 0
    finally:
        os._exit(code)


def killed(kind, out, what, number):
    """Run a command until it does `what` for that time, where it is killed."""
    owner, name = COUNTED.get(what, (os, what))

    def run():
        function, calls = getattr(owner, name), [0]

        def deadly(*args, **kwargs):
            calls[0] += 1
            if calls[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        setattr(owner, name, deadly)
        record(kind, out)

    _, status = os.waitpid(forked(run), 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status


@pytest.fixture(scope="module", autouse=True)
def no_other_records(tmp_path_factory):
    """The committed ones, which take a command a second to read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "RESULTS", tmp_path_factory.mktemp("results"))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The figures of each command, unbroken, in a folder of its own."""
    return {kind: figures(record(kind, tmp_path_factory.mktemp(kind))) for kind in KINDS}


# Where it is killed, and what is then still to do of 2 sets of 10 classes with networks on each.
CLASSIFICATION_KILLS = [
    ("step", 3, {"class": 2, "train": 2}),
    ("replace", 14, {"class": 1, "train": 2}),  # set 0 is there, and 3 classes of set 1
    ("batch", 8, {"class": 0, "train": 1}),
    ("replace", 22, {"class": 0, "train": 1}),  # the last result is written, but not in its place
]


@pytest.mark.parametrize(("what", "number", "left"), CLASSIFICATION_KILLS, ids=str)
def test_classification_killed_goes_on_to_the_same_record(
    whole, counts, tmp_path, what, number, left
):
    killed("classification", tmp_path, what, number)
    counts.clear()
    assert figures(record("classification", tmp_path)) == whole["classification"]
    assert {name: counts[name] for name in left} == left
    counts.clear()
    assert figures(record("classification", tmp_path)) == whole["classification"]
    assert counts["train"] == counts["class"] == 0


@pytest.mark.parametrize("kind", ["retrain", "replay"])
def test_class_orders_killed_again_and_again_go_on_at_their_next_step(
    whole, counts, tmp_path, kind, capsys
):
    """6 steps in all, of 2 orders."""
    work = tmp_path / "work"
    killed(kind, tmp_path, "judge", 2)  # 1 step of the first order is kept
    assert len(list(work.glob("*order0*.safetensors"))) == 1 and not list(work.glob("*.json"))
    counts.clear()
    killed(kind, tmp_path, "judge", 4)  # its 2nd and 3rd; 1 of the second order, and in its 2nd
    assert counts["judge"] == 3
    assert len(list(work.glob("*.json"))) == len(list(work.glob("*.safetensors"))) == 1
    killed(kind, tmp_path, "replace", 1)  # the 2nd step is done, but not kept
    counts.clear()
    assert figures(record(kind, tmp_path)) == whole[kind]
    assert counts["judge"] == 2 and counts["class"] == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "found" in line]
    assert said[0] == "found 10 of 10 classes finished"  # of one set
    assert said[1:] == ["found 1 of 2 class orders done", "found 1 of 3 steps of class order 2"]
    counts.clear()
    assert figures(record(kind, tmp_path)) == whole[kind]
    assert counts["judge"] == counts["batch"] == 0
    assert not list(work.glob("*.safetensors")), "what was under way is forgotten"


def test_a_finished_order_whose_result_was_not_written_is_not_gone_through_again(
    whole, counts, tmp_path
):
    killed("replay", tmp_path, "replace", 10 + 3 + 1)  # after 10 classes and 3 steps
    counts.clear()
    assert figures(record("replay", tmp_path)) == whole["replay"]
    assert counts["judge"] == 3


@pytest.mark.parametrize(
    ("kind", "in_all"), [("classification", {"class": 2, "train": 2}), ("retrain", {"judge": 6})]
)
def test_two_runs_at_once_share_the_work(whole, counts, tmp_path, kind, in_all):
    out = tmp_path / "out"

    def run(number):
        (tmp_path / f"figures{number}").write_text(repr(figures(record(kind, out))))

    both = [forked(lambda number=number: run(number)) for number in range(2)]
    assert [os.waitpid(process, 0)[1] for process in both] == [0, 0]
    assert {name: counts[name] for name in in_all} == in_all
    for number in range(2):
        assert (tmp_path / f"figures{number}").read_text() == repr(whole[kind])


@pytest.mark.parametrize("what", ["step", "batch"])
def test_what_a_run_had_in_hand_that_was_killed_is_taken_over(whole, counts, tmp_path, what):
    """The other run does what is left, and waits with the rest until that one is dead."""
    out, asleep = tmp_path / "out", tmp_path / "asleep"

    def sleeping():
        def sleep(*args, **kwargs):
            asleep.write_text("")
            signal.pause()

        owner, name = COUNTED[what]
        setattr(owner, name, sleep)
        record("classification", out)

    def other():
        (tmp_path / "figures").write_text(repr(figures(record("classification", out))))

    sleeper = forked(sleeping)
    assert eventually(asleep.exists)
    counts.clear()
    waiter = forked(other)
    one = "train" if what == "batch" else "class"
    assert eventually(lambda: counts[one] == 1)
    assert os.waitpid(waiter, os.WNOHANG) == (0, 0)
    os.kill(sleeper, signal.SIGKILL)
    os.waitpid(sleeper, 0)
    assert os.waitpid(waiter, 0)[1] == 0 and counts[one] == 2
    assert (tmp_path / "figures").read_text() == repr(whole["classification"])


def test_results_of_other_code_are_not_taken(counts, tmp_path, monkeypatch, whole):
    record("classification", tmp_path)
    monkeypatch.setattr(classification_run, "code", lambda *files: "other")
    counts.clear()
    assert figures(record("classification", tmp_path)) == whole["classification"]
    assert counts["train"] == 2 and counts["class"] == 0


def test_more_sets_do_what_is_new_and_another_recipe_does_all(counts, tmp_path):
    first = record("classification", tmp_path)
    counts.clear()
    more = record("classification", tmp_path, "--sets 3")
    assert counts["train"] == 1 and more.results.accuracies[:2] == first.results.accuracies
    record("classification", tmp_path, "--epochs 5")
    assert counts["train"] == 1 + 2


def test_a_damaged_result_is_set_aside_and_only_that_is_done_again(whole, counts, tmp_path, capsys):
    record("classification", tmp_path)
    path = next((tmp_path / "work").glob("*set1*.json"))
    path.write_bytes(path.read_bytes()[:-9])
    counts.clear()
    assert figures(record("classification", tmp_path)) == whole["classification"]
    assert counts["train"] == 1 and counts["class"] == 0
    said = capsys.readouterr().err
    assert f"warning: {path} " in said
    assert "found 2 of 2 sets, 20 of 20 classes finished\n" in said
    assert "found 2 of 4 networks trained\n" in said


def test_what_is_found_counts_in_the_cost(tmp_path):
    def lasting(path, seconds):
        held = json.loads(path.read_text())
        value = {**held["value"], "seconds": seconds}
        Work(path.parent).put(path.name.rpartition("-")[0], held["identity"], value)

    record("classification", tmp_path)
    for path in (tmp_path / "work").glob("*.json"):
        lasting(path, 1000.0)
    again = record("classification", tmp_path)
    assert again.cost.seconds.keys() == {"distill", "train"}
    assert 2000 <= again.cost.seconds["train"] < 2010
    assert again.cost.seconds["distill"] >= sum(used.seconds for used in again.sets) - 0.02


def test_what_a_broken_order_took_counts_in_the_cost(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "read", lambda watch: (500.0, 500.0))
        killed("retrain", tmp_path, "judge", 2)
    cost = record("retrain", tmp_path).cost.seconds
    assert cost.keys() == {"distill", "start", "train"} and 500 <= cost["train"] < 530
    again = record("retrain", tmp_path).cost.seconds
    assert cost["train"] - 1 <= again["train"] <= cost["train"] + 1


def test_with_a_logger_every_order_is_gone_through_and_none_is_kept(whole, counts, tmp_path):
    killed("retrain", tmp_path, "judge", 5)
    kept = sorted((tmp_path / "work").glob("*.*[sn]"))
    assert len(kept) == 2
    counts.clear()
    assert figures(record("retrain", tmp_path, "--logger csv")) == whole["retrain"]
    assert counts["judge"] == 6 and len(list((tmp_path / "logs").rglob("eval*.csv"))) == 2
    assert sorted((tmp_path / "work").glob("*.*[sn]")) == kept


def test_a_job_has_the_threads_that_its_kept_result_would_name(tmp_path):
    """They change the last bits: also where the last job of many is done by this process alone."""
    module, command, args = KINDS["classification"]
    asked, flags = parse(command, [*args.split(), "--out", str(tmp_path)], prog="x")
    judging = module.prepare(asked, flags).judging
    assert judging.threads(2) == 1
    try:
        classification_run._train(judging, (0, 0, [0], 2), Progress())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


# ------------------------------------------------------------------ sets


@pytest.fixture
def small(digits):
    """A plan of sets of one image a class, and three classes."""
    settings = {"network": "convnet-d2-w8", "networks": 2, "real_batch": 10, "iterations": 4}
    real = digits.train.only([2, 5, 7])
    return Plan.of("dm", real.about, ipc=1, schedule="linear", **settings), real


def test_a_checkpoint_that_a_killed_run_left_is_deleted(small, tmp_path, monkeypatch):
    asked, real = small
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "EVERY", 0.0)
        patch.setattr(Checkpoints, "drop", lambda self: None)
        plan.distill(asked, real, store=Store(tmp_path))
    assert len(list(tmp_path.glob("*-state-*"))) == 3
    plan.distill(asked, real.only([2, 5]), store=Store(tmp_path))
    assert [path.name[:20] for path in tmp_path.glob("*-state-*")] == ["digits-dm-ipc1-class"]
    plan.distill(asked, real, store=Store(tmp_path))
    assert not list(tmp_path.glob("*-state-*"))


def test_a_damaged_piece_counts_as_missing_and_is_made_once(small, counts, tmp_path):
    asked, real = small
    source = SetSource(real, CPU, tmp_path)
    given = {"shape": real.shape, "device": CPU.device, "given": 1}
    with Workers(source, progress=Progress(), **given) as workers:
        assert beforehand.make([(asked, [2, 5]), (asked, [5, 7])], source, workers) < 0.5
        before = source.distill(asked, real)
        assert counts["class"] == 1
        path = next(tmp_path.glob("*class5*"))
        path.write_bytes(path.read_bytes()[:-1])
        spent = beforehand.make([(asked, [2, 5, 7])], source, workers)
        assert counts["class"] == 2 and source.distill(asked, real).digest() == before.digest()
    assert path.with_suffix(".damaged").exists()
    others = [source.distill(asked, real.only([label])).made.seconds for label in (2, 7)]
    assert spent == pytest.approx(sum(others), abs=0.01)


def test_more_classes_than_locks_at_a_time_are_made_in_parts(small, counts, tmp_path, monkeypatch):
    asked, real = small
    whole = plan.distill(asked, real)
    monkeypatch.setattr(plan, "AT_ONCE", 2)
    counts.clear()
    assert plan.distill(asked, real, store=Store(tmp_path)).digest() == whole.digest()
    assert counts["class"] == 2 and not list(tmp_path.glob("*.lock"))
