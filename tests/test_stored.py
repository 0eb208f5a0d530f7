"""A set's file where a method's name does: --buffer FILE, --proxy FILE, --method FILE."""

import dataclasses

import pytest
import torch

from benchmarks import opened
from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.nas import __main__ as nas
from benchmarks.record import read
from distill import __main__ as distill_command
from distill.plan import Plan
from distill.runtime import identity, registry
from distill.runtime.mistake import Mistake
from distill.sets import stored
from distill.synthetic import SyntheticSet

COMMANDS = [(continual.main, "--buffer"), (nas.main, "--proxy"), (classification.main, "--method")]
NAMES = [flag for _, flag in COMMANDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sets")


@pytest.fixture(scope="module")
def small(digits, folder):
    """Two images a class, in a file."""
    plan = Plan.of("random", digits.train.about, ipc=2, seed=5)
    from distill.plan import distill

    made = distill(plan, digits.train)
    made.save(folder / "theirs.safetensors")
    return made


@pytest.fixture
def path(small, folder):
    return str(folder / "theirs.safetensors")


def record_of(out):
    (record,) = read([out / "records"])
    return record


def require_same(record, small, folder):
    """A record knows the set by its digest, and not where it lay."""
    making, (used,) = record.cell.making, record.sets
    assert (making.method, making.ipc, making.sets) == ("set", 2, 1)
    assert making.config == {"digest": small.digest()}
    assert used.digest == small.digest() and used.bytes == 20 * 64
    assert record.label == "theirs (set)"
    assert str(folder) not in str(dataclasses.replace(record, provenance=None))


def test_a_buffer(path, small, folder, tmp_path, capsys):
    args = ["--buffer", path, "--steps", "2", "--network", "convnet-d2-w8", "--epochs", "2"]
    args += ["--orders", "2", "--out", str(tmp_path)]
    continual.main(args)
    record = record_of(tmp_path)
    require_same(record, small, folder)
    printed = " ".join(capsys.readouterr().out.split())
    assert "| -> | 2 | theirs (set) |" in printed
    assert "made before the class orders and outside their steps" in printed
    assert "(2 class orders × 3 networks, 1 set)" in printed
    moved = tmp_path / "moved.safetensors"
    small.save(moved)
    continual.main(["--buffer", str(moved), *args[2:]])
    again = record_of(tmp_path)  # in the place of the first: it is the same run
    assert again.results == record.results and again.label == "moved (set)"


def test_a_method(path, small, folder, tmp_path):
    args = ["--networks", "2", "--network", "convnet-w8", "--epochs", "2", "--out", str(tmp_path)]
    classification.main(["--method", path, "--ipc", "2", *args])
    require_same(record_of(tmp_path), small, folder)
    pieces = [SyntheticSet.of(*held) for held in map(piece, (tmp_path / "sets").glob("*"))]
    assert torch.equal(torch.cat([p.images for p in pieces]).sum(), small.images.sum())


def piece(path):
    from distill.runtime import store

    tensors, held = store.read(path)
    return tensors, held["facts"]


@pytest.mark.parametrize("flags", [["--proxy"], ["--proxy", "distilled", "--method"]])
def test_a_proxy(flags, path, small, folder, tmp_path):
    args = ["--networks", "3", "--epochs", "1", "--workers", "1", "--out", str(tmp_path)]
    nas.main([*flags, path, *args])
    record = record_of(tmp_path)
    require_same(record, small, folder)
    assert record.cell.proxy == "set" and record.results.images == 20


def test_its_images_are_those_of_the_file_whatever_the_seed(path, small, digits):
    config = stored.Config(file=path)
    plan = Plan(stored.NAME, config, 2, seed=77)
    from distill.plan import distill

    assert distill(plan, digits.train).digest() == small.digest()
    part = distill(plan, digits.train.only([7, 3]))
    assert torch.equal(part.images, small.only([3, 7]).images)
    assert identity.changed(config) == {"digest": small.digest()}


def test_a_file_that_changes_meanwhile_is_noticed(small, digits, tmp_path):
    from distill.plan import distill

    small.save(tmp_path / "a.safetensors")
    config = stored.Config(file=str(tmp_path / "a.safetensors"))
    dataclasses.replace(small, images=1 - small.images).save(tmp_path / "a.safetensors")
    with pytest.raises(Mistake, match="has changed since this run began"):
        distill(Plan(stored.NAME, config, 2), digits.train)


def test_a_learned_set_with_formation_keeps_it(digits, make, tmp_path):
    small = make("datadam", digits.train, 1, formation=2)
    small.save(tmp_path / "a.safetensors")
    config = stored.Config(file=str(tmp_path / "a.safetensors"))
    assert identity.changed(config) == {"digest": small.digest(), "formation": 2}


@pytest.mark.parametrize(("main", "flag"), COMMANDS, ids=NAMES)
@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--ipc", "1"], "--ipc 1: {path} holds one set of 2 images a class; leave --ipc out"),
        (["--method.power", "1"], "--method.power has no meaning with {flag} {path}"),
        (["--dataset", "mnist"], "holds images of digits, 1 x 8 x 8, and --dataset mnist"),
    ],
    ids=["ipc", "method", "dataset"],
)
def test_what_does_not_go_with_a_file_gets_one_line(main, flag, flags, why, path, fails, tmp_path):
    error = fails(main, [flag, path, *flags, "--out", str(tmp_path)])
    assert why.format(path=path, flag=flag) in error


@pytest.mark.parametrize(("main", "flag"), COMMANDS[::2], ids=NAMES[::2])
def test_several_sets_of_one_file_are_refused(main, flag, path, fails, tmp_path):
    error = fails(main, [flag, path, "--sets", "3", "--out", str(tmp_path)])
    assert f"--sets 3: {path} holds one set" in error


@pytest.mark.parametrize(("main", "flag"), COMMANDS, ids=NAMES)
def test_files_that_are_none_get_one_line(main, flag, small, fails, tmp_path):
    assert "no synthetic set at" in fails(main, [flag, str(tmp_path / "no.safetensors")])
    (tmp_path / "text").write_text("a set")
    assert "not a whole synthetic set" in fails(main, [flag, str(tmp_path / "text")])
    assert f"unknown {flag[2:]} 'datadm'" in fails(main, [flag, "datadm"])
    assert "set" in fails(main, [flag, "set"])


def other(small):
    """Sets that do not fit digits, by what is said of them."""
    names = ("nought", *small.classes[1:])
    return {
        "'nought', not '0'": dataclasses.replace(small, classes=names),
        "holds 9 of the 10 classes of digits": small.only(range(9)),
        "holds 1 images of one class and 2 of another": dataclasses.replace(
            small, images=small.images[:-1], labels=small.labels[:-1]
        ),
    }


@pytest.mark.parametrize("number", range(3))
def test_a_set_that_does_not_fit_the_dataset_gets_one_line(number, small, fails, tmp_path):
    why, wrong = list(other(small).items())[number]
    wrong.save(tmp_path / "a.safetensors")
    assert why in fails(continual.main, ["--buffer", str(tmp_path / "a.safetensors")])


def test_python_m_distill_makes_sets_and_takes_none(path, fails):
    assert "unknown method" in fails(distill_command.main, ["--method", path])


def test_what_stands_for_a_set_is_no_method_to_choose():
    assert stored.NAME not in registry.names("distill.methods")
    assert registry.load("distill.methods", stored.NAME) is stored
    assert opened.NAME == stored.NAME


def test_help_with_a_file_is_the_command_s_own(path, capsys):
    with pytest.raises(SystemExit) as end:
        continual.main(["--buffer", path, "--help"])
    printed = capsys.readouterr().out
    assert end.value.code == 0 and "--method.file" not in printed and "a set" in printed


@pytest.mark.parametrize(
    ("file", "name"),
    [("a/b c|d.safetensors", "b-c-d (set)"), ("x" * 99, f"{'x' * 40} (set)"), ("|", "- (set)")],
)
def test_a_row_is_called_after_its_file(file, name):
    usual = f"set digest=12 file={file.partition(' ')[0]} recipe=dm"
    assert opened.label([f"--method.file={file}"], usual) == f"{name} recipe=dm"
    assert opened.label([], "datadam power=1") == "datadam power=1"


def test_a_file_of_a_reserved_name_is_no_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("joint", "distilled", "dm", "mine"):
        (tmp_path / name).touch()
    names = ("joint", "distilled", "dm", "mine", "./joint", "a.safetensors", "none", None)
    assert [name for name in names if opened.is_set(name)] == ["mine", "./joint", "a.safetensors"]
