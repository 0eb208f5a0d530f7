"""Independent jobs on several processes: real processes, real signals."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from distill.runtime import cores, ending, processes
from distill.runtime.early import LINE
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Forward, Progress, Together, part
from distill.runtime.work import FinishedJobs, Work
from distill.runtime.workers import Workers

from conftest import eventually, of_session, started

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
SMALL, LARGE = (1, 8, 8), (3, 32, 32)


# ------------------------------------------------------------------ jobs


def described(shared, job, progress):
    """What a job saw and where."""
    progress.start("counting", 4)
    progress.advance(4)
    if job == 2:
        progress.say("two's own line")
    facts = os.getpid(), torch.get_num_threads(), shared.is_shared()
    return job, float(shared.sum()) * job, facts


def slow_first(shared, job, progress):
    time.sleep(0.5 if job == 0 else 0)
    return job


def added(shared, job, progress):
    """Writes into what all share."""
    shared[job] += 1
    return job


def fails(shared, job, progress):
    if job == "mistake":
        raise Mistake("no such thing; give another")
    if job == "error":
        job = 1 / 0
    if job == "death":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def opened(shared=None, given=2, stream=None, shape=SMALL):
    progress = Progress(stream)
    return Workers(shared, shape=shape, device=CPU, progress=progress, given=given)


def children():
    """The processes that this one has started and that are not gone; not Python's own tracker."""
    text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in text.split()]
    return [line for line in lines if b"spawn_main" in line]


# ------------------------------------------------------------------ what they do


def test_jobs_on_two_processes_give_what_they_give_on_one():
    results, shared = {}, torch.arange(5.0)
    for given in (1, 2):
        stream = io.StringIO()
        with opened(shared.clone(), given, stream) as pool:
            results[given] = list(pool.run(described, range(6), what="jobs", steps=1))
            assert stream.getvalue().count("two's own line") == 1
            pids = {pid for _, _, (pid, *_) in results[given]}
            again = list(pool.run(described, range(6), what="jobs", steps=1))
            assert {pid for _, _, (pid, *_) in again} <= pids, "they are kept between runs"
            finished = list(pool.finished(slow_first, range(4), what="jobs", steps=1))
            assert sorted(finished) == [(n, n) for n in range(4)]
            assert finished[-1 if given == 2 else 0] == (0, 0)
            assert list(pool.run(slow_first, range(4), what="jobs", steps=1)) == [0, 1, 2, 3]
            assert list(pool.run(fails, [], what="jobs", steps=1)) == []
            # What one process writes into a shared tensor, this one sees.
            list(pool.run(added, range(4), what="jobs", steps=1))
            assert pool.shared.tolist() == [1, 2, 3, 4, 4]
    assert [r[:2] for r in results[1]] == [r[:2] for r in results[2]]
    assert {r[2][0] for r in results[1]} == {os.getpid()} and os.getpid() not in pids
    elsewhere = [r[2][1:] for r in results[2]]
    assert len(pids) == 2 and elsewhere == [(1, True)] * 6, "one thread each, in shared memory"
    assert not children()


def test_the_room_in_shared_memory_is_looked_at_first(monkeypatch):
    images = torch.zeros(1000)
    monkeypatch.setattr(processes, "MEMORY", "/")
    for free, fits in ((4400, False), (4500, True)):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(processes.shutil, "disk_usage", lambda path, usage=usage: usage)
        assert processes._fits({"a": images, "b": [images]}) is fits, "one tensor, counted once"
    monkeypatch.setattr(processes, "MEMORY", "/no such folder")
    assert processes._fits(images)


@pytest.mark.parametrize(
    ("job", "error", "says"),
    [
        ("mistake", Mistake, "^no such thing; give another$"),
        ("error", RuntimeError, "job = 1 / 0\n.*ZeroDivisionError: division by zero"),
        ("death", Mistake, r"killed \(signal 9\).*memory; give --workers 1"),
    ],
)
def test_what_goes_wrong_in_a_job_ends_all_and_is_raised_here(job, error, says):
    began = time.monotonic()
    with opened() as pool, pytest.raises(error, match=f"(?s){says}"):
        list(pool.run(fails, ["sleep", job], what="jobs", steps=1))
    assert time.monotonic() - began < 30 and not children()


def test_a_process_that_died_between_two_jobs_is_told_in_one_line():
    """Not taken for a reader that went away, which ends a command without a word."""
    with opened() as pool:
        list(pool.run(slow_first, range(2), what="jobs", steps=1))
        for worker in pool._workers:
            worker.process.kill()
            worker.process.join()
        with pytest.raises(
            Mistake, match=r"was killed \(signal 9\), most likely for want of memory"
        ):
            list(pool.run(slow_first, range(2), what="jobs", steps=1))
    assert not children()


def test_without_room_in_shared_memory_each_has_a_copy_and_nobody_works_for_nothing(monkeypatch):
    monkeypatch.setattr(processes, "_fits", lambda shared: False)
    with opened(torch.zeros(100)) as pool:
        results = pool.run(added, range(100), what="jobs", steps=1)
        assert next(results) == 0 and len(children()) == 2
        results.close()
        assert not children() and pool.shared.tolist() == [0] * 100


# ------------------------------------------------------------------ what is kept


def squared(shared, job, progress):
    """The square of a number; who did it, in a file."""
    with open(shared / "done.txt", "a") as log:
        log.write(f"{job}\n")
    return job * job


def kept_in(folder):
    return FinishedJobs(Work(folder / "work"), lambda job: f"job{job}", lambda job: {"job": job})


def done_in(folder):
    """The jobs that were done, by whomever, since the last look."""
    log = folder / "done.txt"
    jobs = sorted(map(int, log.read_text().split())) if log.exists() else []
    log.write_text("")
    return jobs


@pytest.mark.parametrize("given", [1, 2])
def test_what_is_kept_is_not_done_again_and_counts_as_done(given, tmp_path):
    kept, stream = kept_in(tmp_path), io.StringIO()
    kept.put(1, 1)
    kept.put(4, 16)
    with opened(tmp_path, given, stream) as pool:
        pool.progress.every = 0.0
        results = pool.run(squared, range(6), what="squares", steps=1, kept=kept)
        assert list(results) == [0, 1, 4, 9, 16, 25]
        assert done_in(tmp_path) == [0, 2, 3, 5]
        shown = re.findall(r"squares: (\d) of 6", stream.getvalue())
        assert shown[-1] == "6" and "2" not in shown and "3" in shown
        again = pool.run(squared, range(6), what="squares", steps=1, kept=kept_in(tmp_path))
        assert list(again) == [0, 1, 4, 9, 16, 25] and done_in(tmp_path) == []


@pytest.mark.parametrize("given", [1, 2])
def test_a_result_is_kept_before_it_is_given(given, tmp_path):
    """So that a run that ends just then has not done it for nothing."""
    kept = kept_in(tmp_path)
    with opened(tmp_path, given) as pool:
        results = pool.run(squared, range(6), what="squares", steps=1, kept=kept)
        assert next(results) == 0 and kept.get(0) == 0
        results.close()
        with kept.claim(5) as ours:
            assert ours, "nothing is held any longer"


ANOTHER = """
import sys, time
from pathlib import Path
sys.path[:0] = ["tests", "."]
from test_workers import kept_in
kept = kept_in(Path(sys.argv[1]))
with kept.claim(0) as first, kept.claim(1) as second:
    print(first, second, flush=True)
    sys.stdin.readline()
    kept.put(0, 0)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("given", [1, 2])
def test_what_another_run_has_in_hand_is_left_to_the_last_and_taken_over_when_it_dies(
    given, tmp_path
):
    line = [sys.executable, "-c", ANOTHER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    another = subprocess.Popen(line, cwd=ROOT, text=True, **pipes)
    try:
        assert another.stdout.readline() == "True True\n"
        stream = io.StringIO()
        with opened(tmp_path, given, stream) as pool:
            kept = kept_in(tmp_path)
            jobs = pool.finished(squared, range(4), what="squares", steps=1, kept=kept)
            assert sorted([next(jobs), next(jobs)]) == [(2, 4), (3, 9)]
            assert sorted(done_in(tmp_path)) == [2, 3]
            another.stdin.write("\n")  # it finishes one, and dies with the other
            another.stdin.flush()
            assert eventually(lambda: kept_in(tmp_path).get(0) is not None)
            another.kill()
            assert sorted(jobs) == [(0, 0), (1, 1)]
            assert done_in(tmp_path) == [1]
        assert not list((tmp_path / "work").glob("*.lock"))
    finally:
        another.kill()
        another.communicate()


def test_waiting_for_another_run_is_said_once(tmp_path):
    stream, kept = io.StringIO(), kept_in(tmp_path)
    with contextlib.ExitStack() as claims:
        assert claims.enter_context(kept.claim(0))
        threading.Timer(1.0, claims.close).start()
        with opened(tmp_path, 1, stream) as pool:
            assert list(pool.run(squared, [0], what="squares", steps=1, kept=kept)) == [0]
    assert stream.getvalue().count("waiting for another run, which does 1 of the same") == 1


# ------------------------------------------------------------------ how they end


def interrupted(folder, job, progress):
    """One job that fails when all are at work, and others that do not want to end then."""
    (folder / f"{job} began").touch()
    if job == "fail":
        assert eventually(lambda: len([*folder.iterdir()]) >= 2)
        raise Mistake("no such thing")
    try:
        with ending.deferred() if job == "write" else contextlib.nullcontext():
            time.sleep(0.3 if job == "write" else 60)
            (folder / "written").touch()
        time.sleep(60)
    except KeyboardInterrupt:
        (folder / "kept").touch()
        if job == "stay":
            time.sleep(60)
        raise


@pytest.mark.parametrize(
    ("job", "left"), [("sleep", {"kept"}), ("write", {"written", "kept"}), ("stay", {"kept"})]
)
def test_what_ends_all_interrupts_the_others_which_keep_what_they_have(job, left, tmp_path):
    """A write is finished first; who stays is killed."""
    with opened(tmp_path) as pool, pytest.raises(Mistake, match="^no such thing$"):
        jobs = pool.run(interrupted, [job, "fail"], what="jobs", steps=1)
        try:
            list(jobs)
        finally:
            assert not children()
    assert {path.name for path in tmp_path.iterdir()} == {f"{job} began", "fail began"} | left


def test_a_process_that_is_told_to_end_by_others_is_named_in_one_line(tmp_path):
    with opened(tmp_path) as pool:
        processes.start(2, tmp_path, pool._workers)

        def tell():
            eventually(lambda: len([*tmp_path.iterdir()]) == 2)
            pool._workers[0].process.terminate()

        threading.Thread(target=tell).start()
        with pytest.raises(Mistake, match=r"a process at work was killed \(signal 15\); give --w"):
            list(pool.run(interrupted, ["sleep", "stay"], what="jobs", steps=1))
    assert not children()


SLEEPERS = """
import sys, torch
sys.path[:0] = ["tests", "."]
from distill.runtime.mistake import one_line
from test_workers import fails, opened
with one_line(), opened() as pool:
    print("ready", flush=True)
    list(pool.run(fails, ["sleep"] * 4, what="jobs", steps=1))
"""


@pytest.mark.parametrize(
    ("number", "after"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, 2.5)],
    ids=lambda part: getattr(part, "name", None),
)
def test_no_process_is_left_after_a_signal(number, after):
    """While they start, or work. Ctrl-C goes to the whole group, the others to the parent alone."""
    command = started([sys.executable, "-c", SLEEPERS])
    assert command.stdout.readline() == "ready\n"
    # The command, Python's tracker, two processes
    assert eventually(lambda: len(of_session(command.pid)) == 4)
    time.sleep(after)
    if number == signal.SIGINT:
        os.killpg(command.pid, number)
    else:
        os.kill(command.pid, number)
    _, said = command.communicate(timeout=20)
    killed = number == signal.SIGKILL
    assert command.returncode == (-number if killed else 128 + number)
    assert said == ("" if killed else f"{LINE}\n")
    assert eventually(lambda: not of_session(command.pid))


# ------------------------------------------------------------------ how many


@pytest.mark.parametrize(
    ("jobs", "steps", "shape", "expected"),
    [
        (1, 10**6, SMALL, 1),  # nothing to share out
        (2, 10**6, SMALL, 2),  # one thread is used on small images anyway
        (3, 10**6, SMALL, 2),
        (2, 100, SMALL, 1),  # less work than two processes cost
        (2, 100, (3, 64, 64), 1),  # 3,200 steps' worth
        (4, 100, (3, 64, 64), 2),  # 6,400
        (2, 10**6, LARGE, 2),
        (3, 10**6, LARGE, 1),  # two rounds; threads need 1.7 times one job's
        (10, 10**6, LARGE, 2),
    ],
)
def test_how_many_processes_goes_by_sizes(jobs, steps, shape, expected, monkeypatch):
    monkeypatch.setattr(cores, "cores", lambda: 2)
    assert cores.count(jobs, steps, shape=shape, device=CPU) == expected
    assert cores.count(jobs, steps, shape=shape, device=torch.device("cuda")) == 1
    assert cores.count(jobs, steps, shape=shape, device=CPU, given=3) == min(jobs, 3)


def test_a_number_of_processes_that_cannot_be():
    with pytest.raises(Mistake, match="--workers 0 does no work; give 1 or more"):
        opened(given=0)
    with pytest.raises(Mistake, match="--workers 2 is for a CPU; .* leave --workers out"):
        cores.require(2, torch.device("cuda"))


# ------------------------------------------------------------------ what is shown


def test_one_line_shows_all_jobs_and_counts_their_parts():
    progress = Progress(io.StringIO())
    progress.every = 0.0
    together = Together(progress, "networks trained", [2, 2, 2, 2])
    progress.began -= 100
    together.take(1, "steps", 50, 100, "loss 2")
    together.take(0, "steps", 25, 50, "loss 1")
    together.finish(0)
    assert progress.stream.getvalue().splitlines() == [
        "networks trained: 0 of 8; 1:40 elapsed, about 11:40 left; steps 50 of 100, loss 2",
        "networks trained: 0 of 8; 1:40 elapsed, about 5:00 left; steps 25 of 50, steps 50 of 100",
        "networks trained: 2 of 8; 1:40 elapsed, about 2:47 left; steps 50 of 100, loss 2",
    ]


def test_what_an_earlier_run_did_is_shown_and_not_reckoned_with():
    """Of 8 networks it did 2; of 100 steps of the job in hand 40."""
    progress = Progress(io.StringIO())
    progress.every = 0.0
    together = Together(progress, "networks trained", [2, 2, 4], done=[1])
    progress.began -= 100
    together.take(0, "steps", 70, 100, "loss 2", 40)
    line = "networks trained: 2 of 8; 1:40 elapsed, about 8:20 left; steps 70 of 100, loss 2\n"
    assert progress.stream.getvalue() == line, "half of 2 of 6 in 100 s"


def test_of_many_jobs_a_line_names_the_first_and_counts_the_others():
    progress = Progress(io.StringIO())
    progress.every = 0.0
    together = Together(progress, "classes distilled", [1] * 16)
    for job in range(16):
        together.take(job, "steps", job, 100, "loss 2")
    *_, last = progress.stream.getvalue().splitlines()
    assert last.endswith("; steps 0 of 100, steps 1 of 100, 14 more") and len(last) < 100


def test_what_a_job_did_in_an_earlier_stage_still_counts():
    assert part(spent=15.0, here=5.0, done=0.5) == 0.75, "10 s, and half of what takes 10 s more"
    assert part(spent=5.0, here=5.0, done=0.25) == 0.25 == part(spent=0.0, here=0.0, done=0.25)
    assert part(spent=5.0, here=0.0, done=0.0) == 0.0


def test_a_job_forwards_a_few_times_a_second_at_most():
    steps, lines = [], []
    progress = Forward(lambda *step: steps.append(step), lines.append)
    progress.start("steps", 10**4)
    for _ in range(10**4):
        progress.advance()
    assert len(steps) <= 2
    progress.every = 0.0
    progress.advance(note="loss 1")
    progress.say("a line")
    assert steps[-1] == ("steps", 10**4 + 1, 10**4, "loss 1", 0) and lines == ["a line"]
