"""Kept results: any damage is seen, other code's are not taken, and no job is two processes'."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distill.runtime import work
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.work import FinishedJobs, Work, code
from distill.runtime.workers import Workers

FACTS = {"what": "accuracies", "seed": 3, "recipe": {"rate": 0.01}, "numbers": [0, 1]}
VALUE = {"accuracies": [81.5436, 100.0, 1 / 3], "rows": [[None, 2], []], "name": "Zürich \n"}
TORCH = torch.device("cpu")


@pytest.fixture
def said():
    return []


@pytest.fixture
def folder(tmp_path, said):
    return Work(tmp_path / "work", said.append)


def test_a_result_comes_back_as_it_was(folder):
    assert folder.get("one", FACTS) is None and not folder.folder.exists()
    folder.put("one", FACTS, VALUE)
    assert folder.get("one", FACTS) == VALUE
    assert str(folder.get("one", FACTS)) == str(VALUE), "100.0 has not become 100"
    assert [path.name for path in folder.folder.iterdir()] == [folder.path("one", FACTS).name]


def test_a_result_of_other_facts_is_another(folder):
    folder.put("one", FACTS, VALUE)
    for changes in ({"seed": 4}, {"numbers": [0]}, {"recipe": {}}, {"more": 1}):
        assert folder.get("one", {**FACTS, **changes}) is None
    folder.put("one", {**FACTS, "seed": 4}, 5)
    assert folder.get("one", FACTS) == VALUE


def test_any_damage_is_seen_set_aside_and_said_in_one_line(folder, said):
    folder.put("one", FACTS, VALUE)
    path, chance = folder.path("one", FACTS), random.Random(0)
    content = path.read_bytes()
    damaged = [content[:length] for length in range(0, len(content) - 1, 5)]
    damaged += [content * 2, b"\xff\xfe", b"[" * 100_000, b"[]", b"{}", b"NaN", b"1" * 10_000]
    for place in range(0, len(content) - 1):
        flipped = content[place] ^ (1 << chance.randrange(8))
        damaged.append(content[:place] + bytes([flipped]) + content[place + 1 :])
    harmless = 0
    for one in damaged:
        path.write_bytes(one)
        found = folder.get("one", FACTS)
        if found is not None:  # a blank became another between two values, or a digit of 1.0 ...
            assert str(found) == str(VALUE)
            harmless += 1
            continue
        assert path.with_suffix(".damaged").read_bytes() == one and not path.exists()
        (line,) = said
        assert line.startswith(f"warning: {path} ") and "\n" not in line
        said.clear()
    assert harmless < len(damaged) / 50


def test_a_result_under_another_name_is_set_aside(folder, said):
    folder.put("one", FACTS, VALUE)
    other = {**FACTS, "seed": 4}
    folder.path("one", FACTS).rename(folder.path("one", other))
    assert folder.get("one", other) is None
    assert "it holds another result" in said[0]


def test_an_edited_result_is_set_aside(folder, said):
    folder.put("one", FACTS, VALUE)
    path = folder.path("one", FACTS)
    held = json.loads(path.read_text())
    held["value"]["accuracies"][0] = 99.0
    path.write_text(json.dumps(held))
    assert folder.get("one", FACTS) is None and "it was changed" in said[0]


def test_a_folder_and_a_pipe_in_its_place_are_set_aside(folder, said):
    folder.folder.mkdir()
    path = folder.path("one", FACTS)
    for make in (path.mkdir, lambda: os.mkfifo(path)):
        make()
        assert folder.get("one", FACTS) is None and len(said) == 1
        said.clear()
        aside = path.with_suffix(".damaged")
        aside.rmdir() if aside.is_dir() else aside.unlink()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_not_kept(folder, number):
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.put("one", FACTS, {"accuracies": [1.0, number]})
    assert not folder.folder.exists()


def test_a_file_that_cannot_be_set_aside_is_a_mistake(folder):
    folder.put("one", FACTS, VALUE)
    path = folder.path("one", FACTS)
    path.write_bytes(b"")
    (path.with_suffix(".damaged") / "in the way").mkdir(parents=True)
    with pytest.raises(Mistake, match="delete it"):
        folder.get("one", FACTS)


def test_the_digest_of_the_code_is_that_of_all_files_and_of_torch(tmp_path, monkeypatch):
    tree = shutil.copytree(Path(work.__file__).parent.parent, tmp_path / "distill")
    (tree / ".#train.py").symlink_to("nowhere")  # of an editor's
    digests = [code()]
    for room in work.ROOMS[1:]:
        (tmp_path / room).mkdir()
    monkeypatch.setattr(work, "__file__", str(tree / "runtime" / "work.py"))
    digests.append(code.__wrapped__())
    (tmp_path / "downstream" / "new.py").write_text("x = 1\n")
    digests.append(code.__wrapped__())
    monkeypatch.setattr(work, "version", lambda name: "0.0")
    digests.append(code.__wrapped__())
    assert len(set(digests)) == 4
    command = [sys.executable, "-c", "from distill.runtime.work import code; print(code())"]
    root = Path(__file__).parent.parent
    elsewhere = subprocess.run(
        command,
        cwd=tmp_path / "downstream",
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
    )
    assert elsewhere.stdout.decode().strip() == digests[0], "the same in every process and folder"


# ------------------------------------------------------------------ jobs


@dataclasses.dataclass
class Shared:
    done: list


def squared(shared, job, progress):
    shared.done.append(job)
    return {"square": job**2}


@pytest.fixture
def kept(folder):
    return FinishedJobs(folder, lambda job: f"job{job}", lambda job: {**FACTS, "job": job})


def run(kept, jobs):
    """The results, and the jobs that were really done."""
    done = []
    given = {"shape": (1, 8, 8), "device": TORCH, "progress": Progress(), "given": 1}
    with Workers(Shared(done), **given) as workers:
        results = list(workers.run(squared, jobs, what="jobs", steps=1, kept=kept))
    return [result["square"] for result in results], done


def test_a_job_is_done_once(kept, folder):
    assert run(kept, [3, 1]) == ([9, 1], [3, 1])
    assert not kept.was_there(3)
    fresh = FinishedJobs(folder, kept.name_of, kept.facts_of)
    assert run(fresh, [1, 2, 3]) == ([1, 4, 9], [2])
    assert [fresh.was_there(job) for job in (1, 2, 3)] == [True, False, True]
    folder.path("job2", {**FACTS, "job": 2}).write_bytes(b"?")
    assert run(fresh, [1, 2, 3]) == ([1, 4, 9], [2])


def test_a_job_that_another_process_has_in_hand_is_not_to_be_had(kept):
    ours, theirs = os.pipe()
    with kept.claim(1) as mine, kept.claim(2) as other:
        assert mine and other
        if not os.fork():
            for job in (1, 3):
                with kept.claim(job) as granted:
                    os.write(theirs, f"{granted} ".encode())
            os._exit(0)
        os.wait()
        assert os.read(ours, 100) == b"False True "
    assert not list(kept.work.folder.glob("*.lock")), "nothing remains"
