"""To add a thing is to add one file: listed without being imported, loaded by its name."""

import importlib
import sys
import textwrap

import pytest

import distill
from distill import __main__ as command
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from distill.synthetic import SyntheticSet


@pytest.fixture
def add(tmp_path, monkeypatch):
    """add(package, name, text): one more file, in a folder of its own, for this test."""

    def write(package, name, text):
        folder = tmp_path / "added" / package
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        module = importlib.import_module(package)
        if str(folder) not in module.__path__:
            monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, f"{package}.{name}", raising=False)
        added.append((module, name))

    added = []
    yield write
    for module, name in added:
        sys.modules.pop(f"{module.__name__}.{name}", None)
        vars(module).pop(name, None)


def test_a_file_is_listed_without_being_imported_and_helpers_are_not(add):
    before = registry.names("distill.methods")
    add("distill.methods", "broken", "raise RuntimeError('imported')")
    add("distill.methods", "_helper", "")
    add("distill.methods", "room/__init__", "")
    assert registry.names("distill.methods") == sorted([*before, "broken"])
    assert registry.names("distill.methods", folders=True) == ["room"]
    with pytest.raises(RuntimeError, match="imported"):
        registry.load("distill.methods", "broken")
    for name in ("_helper", "room"):
        with pytest.raises(Mistake, match=f"unknown method '{name}'"):
            registry.load("distill.methods", name)


@pytest.mark.parametrize("package", ["distill.methods", "distill.datasets"])
def test_every_file_is_loaded_by_its_name(package):
    for name in registry.names(package):
        assert registry.load(package, name).__name__ == f"{package}.{name}"
        assert registry.require(package, name) == name


def test_an_unknown_name_is_told_the_nearest_and_all_there_are():
    with pytest.raises(Mistake) as said:
        registry.load("distill.methods", "hearding")
    accepted = ", ".join(registry.names("distill.methods"))
    hint = "unknown method 'hearding'; did you mean herding?"  # first: a list may be long
    assert str(said.value) == f"{hint} accepted: {accepted}"
    with pytest.raises(Mistake, match="unknown dataset 'mnisst'"):
        registry.require("distill.datasets", "mnisst")
    with pytest.raises(Mistake, match="unknown buffer 'x'; accepted: .*herding"):
        registry.require("distill.methods", "x", what="buffer")


BRIGHTEST = '''
    """The brightest images of each class."""

    import dataclasses

    import torch

    from distill.settings import Settings

    VERSION = 1


    @dataclasses.dataclass(frozen=True)
    class Config(Settings):
        darkest: bool = False


    def preset(about, ipc, name):
        return Config()


    def distill(real, ipc, *, config, seed, compute, progress):
        chosen = []
        for label in real.present:
            pixels = real.of_class(label).float() / 255
            order = pixels.flatten(1).sum(1).argsort(descending=not config.darkest)
            chosen.append(pixels[order[:ipc]])
        return torch.stack(chosen)
'''

STRIPES = '''
    """Stripes of two directions."""

    import torch

    from distill.images import About, Data, ImageSet, Normalisation

    ABOUT = About("stripes", Normalisation.fixed(1), shape=(1, 8, 8), classes=("across", "down"))


    def load(root, about):
        shades = torch.arange(1, 21, dtype=torch.uint8).view(20, 1, 1, 1) * 10
        bars = (torch.arange(8) % 2).to(torch.uint8)
        across = shades * bars.view(8, 1).expand(8, 8)
        pixels = torch.cat([across, across.mT])
        labels = torch.arange(2).repeat_interleave(20)
        return Data(*(ImageSet.sorted(about, pixels, labels) for _ in range(2)))
'''


def test_a_method_and_a_dataset_are_added_by_one_file_each(add, tmp_path, fails, capsys):
    """Used from a program and from the command, with a flag of its own, and kept in a store."""
    add("distill.methods", "brightest", BRIGHTEST)
    add("distill.datasets", "stripes", STRIPES)
    data = distill.load_dataset("stripes")
    for _ in range(2):
        small = distill.distill("brightest", data.train, ipc=2, store=tmp_path / "sets")
        assert (small.images.amax((1, 2, 3)) * 255).round().tolist() == [200, 190] * 2
        assert small.classes == ("across", "down")
    assert len(list((tmp_path / "sets").iterdir())) == 2
    known = distill.distill("random", data.train, ipc=20)
    assert len(known) == 40

    out = tmp_path / "set.safetensors"
    args = ["--method", "brightest", "--dataset", "stripes", "--out", str(out)]
    command.main([*args, "--method.darkest"])
    assert (SyntheticSet.load(out).images.amax((1, 2, 3)) * 255).round().tolist() == [10] * 2
    assert "2 images" in capsys.readouterr().out
    error = fails(command.main, ["--method", "brightst", "--out", str(out)])
    assert "did you mean brightest" in error
    assert "--method.darkest" in fails(command.main, [*args, "--method.darkst"])
