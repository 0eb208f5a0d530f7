"""Files in the forms in which others' code publishes its sets, each taken by the import."""

import copy

import numpy as np
import pytest
import torch

from distill import __main__ as command
from distill import open_set

IPC = 2


@pytest.fixture(scope="module")
def known(digits):
    """Two real images of each class, in its order, and how the field has them: normalised."""
    images = torch.cat([digits.train.of_class(label)[:IPC] for label in range(10)]).float() / 255
    return images, digits.train.about.normalisation(images)


def as_dc(images, *, dtype=torch.long):
    """DC, DSA, DM, IDM and (labels of another type) DataDAM: one pair for each experiment."""
    syn = images.clone().requires_grad_(True)
    labels = [np.ones(IPC) * label for label in range(10)]
    labels = torch.tensor(np.array(labels), dtype=dtype, requires_grad=False).view(-1)
    pairs = [[copy.deepcopy(x.detach().cpu()) for x in (syn, labels)] for _ in range(2)]
    reached = np.equal(np.arange(4), [0, 1, 2, 4]).sum() / 4
    return {"data": pairs, "accs_all_exps": {"ConvNet": [reached, reached], "AlexNet": []}}


def as_idc(images):
    """IDC and those that follow it."""
    data = torch.nn.Parameter(images.clone())
    targets = torch.arange(10).repeat_interleave(IPC)
    return [data.detach().cpu(), targets.cpu()]


FORMS = {
    "DC, DSA, DM": as_dc,
    "DataDAM": lambda images: as_dc(images, dtype=torch.float32),
    "IDC": as_idc,
    "IDC, its parameter itself": lambda images: [torch.nn.Parameter(images), as_idc(images)[1]],
    "MTT": lambda images: images.clone().requires_grad_(True) * 1.0,
}


def old(path):
    """As torch before 1.6 and numpy before 2 wrote it."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("saved", ["here", "on a GPU", "years ago", "years ago on a GPU"])
@pytest.mark.parametrize("form", FORMS)
def test_a_published_file_is_taken(form, saved, known, tmp_path, monkeypatch, capsys):
    """A tensor of a GPU differs in a file by the name of its device alone."""
    images, normalised = known
    with monkeypatch.context() as patch:
        if "GPU" in saved:
            patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        given = {"_use_new_zipfile_serialization": "years" not in saved}
        torch.save(FORMS[form](normalised), tmp_path / "theirs.pt", **given)
        torch.save(torch.arange(10).repeat_interleave(IPC), tmp_path / "labels_best.pt", **given)
    assert (b"cuda:0" in (tmp_path / "theirs.pt").read_bytes()) == ("GPU" in saved)
    if "years" in saved:
        old(tmp_path / "theirs.pt")
    labels = ["--labels", str(tmp_path / "labels_best.pt")] if form == "MTT" else []
    out = tmp_path / "ours.safetensors"
    command.main(["import", str(tmp_path / "theirs.pt"), "--out", str(out), *labels])
    assert "taken as" in capsys.readouterr().out
    small = open_set(out)
    assert small.labels.tolist() == [label for label in range(10) for _ in range(IPC)]
    assert torch.allclose(small.images, images, atol=1e-6)


def test_four_images_in_the_place_of_one_are_shown_as_four(known, tmp_path):
    """IDM's and IDC's, with a factor of 2."""
    torch.save(as_dc(known[1]), tmp_path / "theirs.pt")
    out = tmp_path / "ours.safetensors"
    command.main(["import", str(tmp_path / "theirs.pt"), "--out", str(out), "--formation", "2"])
    images, labels = open_set(out).decoded()
    assert images.shape == (80, 1, 8, 8) and labels.bincount().tolist() == [8] * 10
