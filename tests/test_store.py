"""Files that say what they are: damage of any kind is seen, and only what changed expires."""

import json
import random as python_random
import shutil
import sys

import pytest
import safetensors.torch
import torch

from distill.methods import herding, random
from distill.plan import Plan, distill
from distill.runtime import origin, reading, store
from distill.runtime.mistake import Mistake
from distill.runtime.origin import Origin
from distill.runtime.store import Store
from distill.synthetic import SyntheticSet


def damages(content: bytes, *, every: int = 1):
    """The content with a bit flipped, `every` so many bytes, then cut short, then with more."""
    chance = python_random.Random(0)
    for place in range(0, len(content), every):
        flipped = content[place] ^ (1 << chance.randrange(8))
        yield f"byte {place}", content[:place] + bytes([flipped]) + content[place + 1 :]
    for length in range(0, len(content), 37):
        yield f"{length} bytes", content[:length]
    yield "a byte more", content + b"\0"
    yield "twice", content * 2


@pytest.fixture
def part(digits):
    return digits.train.only([1, 2])


@pytest.fixture
def said():
    return []


@pytest.fixture
def kept(tmp_path, part, said):
    """A store that holds the classes 1 and 2, made by `random`; what it says is in `said`."""
    folder = Store(tmp_path / "sets", said.append)
    distill(Plan("random", random.Config(), 2), part, store=folder)
    return folder


def files(kept, pattern="*.safetensors"):
    return sorted(kept.folder.glob(pattern))


def test_tensors_and_facts_come_back(tmp_path):
    tensors = {
        "floats": torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
        "half": torch.arange(4, dtype=torch.bfloat16),
        "bytes": torch.arange(6, dtype=torch.uint8).view(2, 3).T,
        "number": torch.tensor(7),
        "nothing": torch.ones(0, 3),
    }
    facts = {"name": "Zürich \n", "numbers": [1, 2.5, None], "inside": {"yes": True}}
    path = tmp_path / "new" / "x.safetensors"
    digest = store.write(path, tensors, facts)
    back, told = store.read(path)
    assert told == facts and back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and torch.equal(back[name], tensor), name
    assert store.write(tmp_path / "same", dict(reversed(tensors.items())), facts) == digest
    assert store.write(tmp_path / "other", tensors, {**facts, "name": ""}) != digest


def test_any_damage_to_a_kept_piece_is_seen_and_set_aside(kept, part, said):
    plan = Plan("random", random.Config(), 2)
    path = files(kept)[0]
    content = path.read_bytes()
    asked = ("digits-random-ipc2-class1", "set", plan.identity(part.only([1])))
    assert kept.path(*asked) == path and kept.get(*asked, of=SyntheticSet.of) and not said
    aside = path.with_suffix(".damaged")
    for what, damaged in damages(content, every=7):
        path.write_bytes(damaged)
        assert kept.get(*asked, of=SyntheticSet.of) is None, what
        assert aside.read_bytes() == damaged and not path.exists(), what
        assert len(said) == 1 and said[0].count("\n") == 0 and str(path) in said[0], what
        said.clear()


def test_a_damaged_piece_is_made_again_and_the_others_are_not(kept, part, said, monkeypatch):
    plan = Plan("random", random.Config(), 2)
    first, second = files(kept)
    whole = distill(plan, part, store=kept)
    content, time = first.read_bytes(), second.stat().st_mtime_ns
    first.write_bytes(content[:-1] + b"?")
    again = distill(plan, part, store=kept)
    assert again.digest() == whole.digest() and len(said) == 1
    assert files(kept) == [first, second] and second.stat().st_mtime_ns == time
    assert len(files(kept, "*.damaged")) == 1
    assert distill(plan, part, store=kept).digest() == whole.digest() and len(said) == 1


def test_a_class_under_another_name_is_set_aside(kept, part, said):
    plan = Plan("random", random.Config(), 2)
    whole = distill(plan, part, store=kept)
    first, second = files(kept)
    shutil.copy(first, second)
    again = distill(plan, part, store=kept)
    assert again.digest() == whole.digest() and again.labels.tolist() == [1, 1, 2, 2]
    (line,) = said
    assert f"{second} is not what it should be (it holds another piece of work)" in line


def test_a_piece_of_another_layout_is_made_again(kept, part, said):
    """It names the right identity and has the right digest, but says less of how it was made."""
    plan = Plan("random", random.Config(), 2)
    whole = distill(plan, part, store=kept)
    path = files(kept)[0]
    tensors, held = store.read(path)
    del held["facts"]["made"]["seconds"]
    store.write(path, tensors, held)
    assert distill(plan, part, store=kept).digest() == whole.digest()
    (line,) = said
    assert f"{path} is not what it should be (it holds something else" in line


def test_a_raised_version_expires_what_it_made_and_nothing_else(kept, part, monkeypatch):
    plans = [Plan("random", random.Config(), 2), Plan("herding", herding.Config(), 2)]
    monkeypatch.setattr(herding, "distill", random.distill)  # quick; only its files matter here
    for plan in plans:
        distill(plan, part, store=kept)
    before = files(kept)
    monkeypatch.setattr(random, "VERSION", random.VERSION + 1)
    for plan in plans:
        distill(plan, part, store=kept)
    newer = sorted(set(files(kept)) - set(before))
    assert [path.name[:25] for path in newer] == [f"digits-random-ipc2-class{c}" for c in (1, 2)]
    assert set(before) < set(files(kept))  # nothing is deleted
    monkeypatch.setattr(random, "VERSION", random.VERSION - 1)
    distill(plans[0], part, store=kept)
    assert len(files(kept)) == len(before) + 2


def test_a_piece_of_other_uncommitted_code_is_made_anew(tmp_path, part, said, monkeypatch):
    plan, folder = Plan("random", random.Config(), 2), Store(tmp_path, said.append)
    right = distill(plan, part).digest()
    with monkeypatch.context() as patch:
        patch.setattr(origin, "_known", Origin("edited", None, False))
        given = random.distill
        patch.setattr(random, "distill", lambda *args, **more: given(*args, **more).flip(-1))
        wrong = distill(plan, part, store=folder).digest()
    assert wrong != right
    monkeypatch.setattr(origin, "_known", Origin("as committed", None, True))
    assert distill(plan, part, store=folder).digest() == right
    assert len(files(folder)) == 2 and not said and not files(folder, "*.damaged")
    before = [path.stat().st_mtime_ns for path in files(folder)]
    for other in (Origin("edited", None, False), Origin("a later commit", None, True)):
        monkeypatch.setattr(origin, "_known", other)
        assert distill(plan, part, store=folder).digest() == right
    assert [path.stat().st_mtime_ns for path in files(folder)] == before


def test_a_piece_that_names_no_code_is_taken(kept, part, monkeypatch):
    """Earlier versions wrote such."""
    for path in files(kept):
        tensors, held = store.read(path)
        assert held.pop("code") == origin.ours().label()
        store.write(path, tensors, held)
    before = [path.stat().st_mtime_ns for path in files(kept)]
    monkeypatch.setattr(origin, "_known", Origin("as committed", None, True))
    distill(Plan("random", random.Config(), 2), part, store=kept)
    assert [path.stat().st_mtime_ns for path in files(kept)] == before


def test_a_store_that_cannot_be_a_folder_is_a_mistake(tmp_path, part):
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match="cannot write .*file"):
        distill(Plan("random", random.Config(), 1), part, store=Store(tmp_path / "file"))


def test_a_piece_that_cannot_be_set_aside_is_a_mistake(kept, part):
    path = files(kept)[0]
    path.write_bytes(b"")
    (path.with_suffix(".damaged") / "in the way").mkdir(parents=True)
    with pytest.raises(Mistake, match="delete it"):
        distill(Plan("random", random.Config(), 2), part, store=kept)


@pytest.fixture
def small(part):
    return distill(Plan("random", random.Config(), 1), part.only([1]))


def test_any_damage_to_a_saved_set_is_a_mistake_in_one_line(small, tmp_path):
    path = tmp_path / "set.safetensors"
    small.save(path)
    for what, damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(Mistake, match="not a whole synthetic set") as refusal:
            SyntheticSet.load(path)
        assert "\n" not in str(refusal.value) and str(path) in str(refusal.value), what


def test_a_missing_file_and_a_folder_are_mistakes(tmp_path):
    with pytest.raises(Mistake, match="no synthetic set at .*none; make one: python -m distill"):
        SyntheticSet.load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match="no synthetic set at"):
        SyntheticSet.load(tmp_path / "file" / "none")
    with pytest.raises(Mistake, match="not a whole synthetic set"):
        SyntheticSet.load(tmp_path)


STRANGE_TENSORS = {
    "no labels": {"labels": None},
    "labels that are no classes": {"labels": torch.tensor([10])},
    "negative labels": {"labels": torch.tensor([-1])},
    "more labels": {"labels": torch.tensor([1, 1])},
    "labels of another type": {"labels": torch.tensor([1], dtype=torch.int32)},
    "no image": {"images": torch.ones(0, 1, 8, 8), "labels": torch.ones(0, dtype=torch.int64)},
    "images of another type": {"images": torch.ones(1, 1, 8, 8, dtype=torch.bfloat16)},
    "images of another form": {"images": torch.ones(1, 8, 8)},
    "images that are not finite": {"images": torch.full((1, 1, 8, 8), torch.nan)},
}
STRANGE_FACTS = {
    "a strange making": {"made": {"method": "random"}},
    "no making": {"made": None},
    "no classes": {"classes": None},
    "classes that are a number": {"classes": 5},
    "a formation that does not fit": {"formation": 3},
    "a formation of 0": {"formation": 0},
    "a formation in letters": {"formation": "2"},
}


@pytest.mark.parametrize("tensors", STRANGE_TENSORS.values(), ids=STRANGE_TENSORS)
def test_a_whole_file_with_strange_tensors_is_a_mistake(small, tmp_path, tensors):
    tensors = {**small.tensors(), **tensors}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    store.write(tmp_path / "set", tensors, small.facts())
    with pytest.raises(Mistake, match="not a whole synthetic set: it holds something else"):
        SyntheticSet.load(tmp_path / "set")


@pytest.mark.parametrize("facts", STRANGE_FACTS.values(), ids=STRANGE_FACTS)
def test_a_whole_file_with_strange_facts_is_a_mistake(small, tmp_path, facts):
    store.write(tmp_path / "set", small.tensors(), {**small.facts(), **facts})
    with pytest.raises(Mistake, match="not a whole synthetic set: it holds something else"):
        SyntheticSet.load(tmp_path / "set")


@pytest.mark.parametrize("facts", [[], 3, "x", None, {}])
def test_facts_of_no_set_at_all_are_a_mistake(small, tmp_path, facts):
    store.write(tmp_path / "set", small.tensors(), facts)
    with pytest.raises(Mistake, match="not a whole synthetic set: it holds something else"):
        SyntheticSet.load(tmp_path / "set")


def test_a_file_of_another_program_is_a_mistake(tmp_path):
    path = tmp_path / "weights.safetensors"
    for metadata in (None, {"format": "pt"}, {"facts": "{}", "digest": "0"}):
        safetensors.torch.save_file(
            {"weights": torch.ones(2, dtype=torch.bfloat16)}, path, metadata
        )
        with pytest.raises(Mistake, match="not a whole synthetic set"):
            SyntheticSet.load(path)


def test_an_older_layout_is_a_mistake_and_is_never_executed(small, tmp_path):
    path = tmp_path / "set.safetensors"
    safetensors.torch.save_file(small.tensors(), path, {"facts": json.dumps(small.facts())})
    with pytest.raises(Mistake, match="it holds no digest"):
        SyntheticSet.load(path)
    torch.save(small.images, path)
    with pytest.raises(Mistake, match="it is no safetensors file, or a part of one"):
        SyntheticSet.load(path)


def test_an_interrupt_at_any_moment_of_reading_a_piece_sets_none_aside(kept, part, said):
    """A library that calls Python from C code may turn it into an error of another kind."""

    def at(number):
        def called(frame, event, argument):
            nonlocal number
            number -= event == "call"
            if number == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

        return called

    whole, moment = files(kept), 0
    while True:
        moment += 1
        try:
            sys.setprofile(at(moment))
            distill(Plan("random", random.Config(), 2), part, store=kept)
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
            assert files(kept) == whole and said == [], moment
    assert moment > 100


def test_a_file_beyond_two_gigabytes_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading.whole, "__kwdefaults__", {"most": 100})
    monkeypatch.setattr(reading.require_plain, "__kwdefaults__", {"most": 100})
    store.write(tmp_path / "large.safetensors", {"images": torch.zeros(100)}, {})
    assert store.read(tmp_path / "large.safetensors")[0]["images"].shape == (100,)
