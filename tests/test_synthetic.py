import errno
import os

import pytest
import torch

from distill import datasets
from distill.runtime.mistake import Mistake
from distill.synthetic import SyntheticSet, merge


@pytest.fixture
def made(digits, distil):
    return distil("datadam", digits.train, 2)


def test_a_set_comes_back_from_its_file(made, tmp_path):
    made.save(tmp_path / "set.safetensors")
    back = SyntheticSet.load(tmp_path / "set.safetensors")
    assert torch.equal(back.images, made.images) and torch.equal(back.labels, made.labels)
    assert back.classes == made.classes and back.made == made.made


def test_it_says_how_it_was_made(made, digits):
    assert made.made["method"] == "datadam" and made.made["dataset"] == "digits"
    assert made.made["ipc"] == 2 and made.made["seed"] == 0
    assert made.made["config"]["power"] == 4
    assert made.made["digest"] == digits.train.digest()
    assert made.made["normalisation"]["source"] == "fixed"
    assert made.made["versions"]["torch"] == torch.__version__.split("+")[0]


def test_it_is_a_torch_dataset(made):
    images, labels = next(iter(torch.utils.data.DataLoader(made, batch_size=4)))
    assert images.shape == (4, 1, 8, 8) and labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(made, tmp_path, kept):
    path = tmp_path / "set.safetensors"
    made.save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(Mistake, match="not a whole synthetic set"):
        SyntheticSet.load(path)


def test_a_missing_file_and_a_strange_one_are_refused(tmp_path):
    import safetensors.torch

    with pytest.raises(Mistake, match="no synthetic set at"):
        SyntheticSet.load(tmp_path / "none")
    safetensors.torch.save_file({"weights": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(Mistake, match="not a whole synthetic set"):
        SyntheticSet.load(tmp_path / "other.safetensors")


def test_a_full_disk_leaves_the_old_file(made, tmp_path, monkeypatch):
    path = tmp_path / "set.safetensors"
    made.save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Mistake, match="No space left"):
        merge([made, made]).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_exported_pictures_can_be_distilled_again(made, tmp_path):
    made.export(tmp_path / "train")
    made.export(tmp_path / "test")
    back = datasets.load("folder", root=tmp_path, size=8).train
    assert back.classes == made.classes and len(back) == 20
    clipped = made.images.clamp(0, 1).mul(255).round()
    assert torch.equal(back.images[:, :1].float(), clipped)


def test_the_grid_shows_every_image(made, tmp_path):
    from PIL import Image

    made.grid(tmp_path / "grid.png")
    width, height = Image.open(tmp_path / "grid.png").size
    assert (width, height) == (10 * 66 + 2, 2 * 66 + 2)


def test_bytes_are_counted_as_pixels_take_them(made, digits, distil):
    assert made.stored_bytes == 20 * 64 * 4
    assert distil("random", digits.train, 2).stored_bytes == 20 * 64
