import pytest
import torch

from distill import cache, registry
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress

from conftest import CPU, SMALL


@pytest.fixture
def fill(tmp_path, monkeypatch):
    """fill(real, ...): the set through the cache, and the classes that were really distilled."""
    made = []

    def run(real, ipc=1, method="datadam", seed=0, **changes):
        module = registry.load("methods", method)
        config = module.Config(**{**SMALL[method], **changes})
        original = module.distill

        def counting(real, *args, **kwargs):
            made.append(real.present)
            return original(real, *args, **kwargs)

        monkeypatch.setattr(module, "distill", counting)
        found = cache.distil(
            tmp_path, method, real, ipc, config=config, seed=seed, device=CPU, progress=Progress()
        )
        monkeypatch.undo()
        return found

    run.made = made
    return run


def test_no_class_is_distilled_twice(fill, digits):
    first = fill(digits.train.only([1, 2]))
    second = fill(digits.train.only([2, 3]))
    again = fill(digits.train.only([1, 2, 3]))
    assert fill.made == [[1, 2], [3]]
    assert again.labels.tolist() == [1, 2, 3]
    assert torch.equal(again.images, torch.cat([first.images, second.images[1:]]))


def test_anything_that_matters_makes_a_new_set(fill, digits):
    part = digits.train.only([4])
    fill(part)
    for changes in ({"seed": 1}, {"ipc": 2}, {"power": 1}, {"method": "dm"}):
        fill(part, **changes)
    assert len(fill.made) == 5
    darker = part.only([4])
    darker.images.div_(2, rounding_mode="floor")
    fill(darker)
    assert len(fill.made) == 6


def test_coupled_classes_are_kept_together(fill, digits):
    network = "convnet-d2-w8-batch"
    fill(digits.train.only([1, 2]), network=network)
    fill(digits.train.only([1, 3]), network=network)
    fill(digits.train.only([1, 2]), network=network)
    assert fill.made == [[1, 2], [1, 3]]


def test_a_damaged_file_is_named(fill, digits, tmp_path):
    fill(digits.train.only([1]))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(Mistake, match="class1.*delete it and distil again"):
        fill(digits.train.only([1]))
