"""MNIST, Fashion-MNIST, SVHN, MedMNIST and EuroSAT, from files of their official forms."""

import errno
import hashlib
import shutil

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from official import IDX, MED, NAMES, NOWHERE, arrays, files, loaded, mat, npz, unreachable, written

from distill import __main__ as command
from distill import datasets
from distill.datasets import _medmnist, eurosat, mnist, svhn
from distill.networks import build, parse
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from distill.synthetic import SyntheticSet


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    unreachable(monkeypatch)


@pytest.mark.parametrize(
    "name, packed", [(name, True) for name in [*IDX, "svhn", *MED]] + [(n, False) for n in IDX]
)
def test_official_files_are_read_pixel_by_pixel(name, packed, tmp_path, monkeypatch):
    halves = written(name, tmp_path, monkeypatch, packed=packed)
    about = datasets.about(name, size=28 if name in MED else None)
    for half, images in zip(("train", "test"), loaded(name, tmp_path), strict=True):
        pixels, labels = halves[half]
        assert images.shape == about.shape and images.classes == about.classes
        assert np.array_equal(images.images, pixels[labels.argsort(kind="stable")])
        assert images.labels.tolist() == sorted(labels.tolist())
        assert images.name == name and images.normalisation is about.normalisation


def test_what_the_field_knows_of_the_datasets():
    """Channels, sizes, depth of the ConvNet, statistics; no flips where left and right differ."""
    facts = {name: datasets.about(name, size=64 if name in MED else None) for name in NAMES}
    assert facts["mnist"].shape == facts["fashion_mnist"].shape == (1, 28, 28)
    assert facts["svhn"].shape == (3, 32, 32) and facts["eurosat"].shape == (3, 64, 64)
    assert [facts[name].depth for name in ("mnist", "svhn", "eurosat")] == [3, 3, 4]
    assert facts["medmnist_pathmnist"].shape == (3, 64, 64)
    assert facts["medmnist_octmnist"].shape == (1, 64, 64)
    assert facts["mnist"].normalisation.mean == (0.1307,)
    assert facts["fashion_mnist"].classes == tuple(torchvision.datasets.FashionMNIST.classes)
    without = {name for name, own in facts.items() if "flip" not in own.operations}
    organs = {f"medmnist_organ{view}mnist" for view in "acs"}
    assert without == {"mnist", "svhn"} | organs
    digests = [md5 for own in _medmnist.SETS.values() for md5 in own.md5.values()]
    assert len(set(digests)) == 22 and {len(md5) for md5 in digests} == {32}
    assert sum(eurosat.COUNTS.values()) == sum(eurosat.ABOUT.sizes) == 27_000


@pytest.mark.parametrize("name", ["mnist", "svhn", "medmnist_bloodmnist", "eurosat"])
def test_another_digest_is_refused(name, tmp_path, monkeypatch):
    written(name, tmp_path, monkeypatch)
    for path in files(tmp_path):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(Mistake, match=f"{path.name} has (md5|sha256) .*: delete it and run"):
            loaded(name, tmp_path)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(Mistake, match=f"{path.name} has (md5|sha256) "):
            loaded(name, tmp_path)
        path.write_bytes(content)
    loaded(name, tmp_path)


def test_another_digest_of_an_unpacked_file_is_refused(tmp_path, monkeypatch):
    written("mnist", tmp_path, monkeypatch, packed=False)
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(Mistake, match="t10k-labels-idx1-ubyte has md5 "):
        loaded("mnist", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_no_host_and_no_files_says_what_to_put_where(name, tmp_path):
    says = f"no .* in {tmp_path}.*official host cannot be reached: put "
    with pytest.raises(Mistake, match=says):
        loaded(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*IDX, "svhn", "medmnist_bloodmnist", "eurosat"])
def test_files_are_fetched_once_and_whole(name, tmp_path, monkeypatch):
    written(name, tmp_path / "host", monkeypatch)
    host = tmp_path / "urls"
    host.mkdir()
    for path in files(tmp_path / "host"):
        shutil.copy(path, host / (f"{path.name}?download=1" if name in MED else path.name))
    reach(host, monkeypatch)
    whole = loaded(name, tmp_path / "host")
    root = tmp_path / "data"
    assert loaded(name, root).digest() == whole.digest()
    for path in host.iterdir():
        path.write_bytes(b"another file")
    assert loaded(name, root).digest() == whole.digest(), "nothing is fetched again"
    kept = {path.name for path in files(root)}
    assert kept == {path.name for path in files(tmp_path / "host")}
    next(iter(files(root))).unlink()
    with pytest.raises(Mistake, match="what file:.* sends has .*: nothing was kept"):
        loaded(name, root)
    assert len(files(root)) == len(kept) - 1


@pytest.mark.parametrize("name", ["medmnist_bloodmnist", "eurosat"])
def test_the_official_file_may_be_the_data_root_itself(name, tmp_path, monkeypatch):
    written(name, tmp_path, monkeypatch)
    (path,) = files(tmp_path)
    assert loaded(name, path).digest() == loaded(name, tmp_path).digest()
    other = path.rename(path.with_stem("other"))
    with pytest.raises(Mistake, match=f"{other} is another file than {path.name}; give as --data-"):
        loaded(name, other)
    path.write_bytes(other.read_bytes() + b"x")
    with pytest.raises(Mistake, match=f"{path} has md5 .*: give the official file"):
        loaded(name, path)


def test_where_a_host_sends_another_file_the_next_is_asked(tmp_path, monkeypatch):
    written("mnist", tmp_path / "host", monkeypatch)
    wrong, right = tmp_path / "wrong", tmp_path / "host" / "MNIST" / "raw"
    wrong.mkdir()
    for path in files(right):
        (wrong / path.name).write_bytes(b"a page")
    mirrors = [f"{wrong.as_uri()}/", NOWHERE, f"{right.as_uri()}/"]
    monkeypatch.setattr(IDX["mnist"][1], "mirrors", mirrors[:2])
    with pytest.raises(Mistake, match="what file:.*wrong.* sends has .*: nothing was kept"):
        loaded("mnist", tmp_path / "data")
    monkeypatch.setattr(IDX["mnist"][1], "mirrors", mirrors)
    data = loaded("mnist", tmp_path / "data")
    assert data.digest() == loaded("mnist", tmp_path / "host").digest()


def reach(host, monkeypatch):
    """The files in the folder `host` are what the official hosts send."""
    url = f"{host.as_uri()}/"
    for _, known in IDX.values():
        monkeypatch.setattr(known, "mirrors", [NOWHERE, url])
    lists = torchvision.datasets.SVHN.split_list
    there = {half: [f"{url}{own[1]}", *own[1:]] for half, own in lists.items()}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", there)
    monkeypatch.setattr(eurosat, "HOST", url)
    monkeypatch.setattr(_medmnist, "HOST", url)


WRONG = {
    "another size": (np.zeros((4, 27, 28), np.uint8), np.zeros(4, np.uint8)),
    "flat": (np.zeros((4, 784), np.uint8), np.zeros(4, np.uint8)),
    "a label too many": (np.zeros((4, 28, 28), np.uint8), np.zeros(5, np.uint8)),
    "no such label": (np.zeros((4, 28, 28), np.uint8), np.full(4, 10, np.uint8)),
    "none": (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)),
}


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("mnist", "distill.runtime.reading.whole"),
        ("svhn", "scipy.io.loadmat"),
        ("medmnist_bloodmnist", "numpy.load"),
        ("eurosat", "zipfile.ZipFile"),
    ],
)
def test_what_passes_is_not_called_damage(name, reader, tmp_path, monkeypatch):
    def away(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    written(name, tmp_path, monkeypatch)
    monkeypatch.setattr(reader, away)
    with pytest.raises(Mistake, match="cannot read .*: Too many open files; mend that and run the"):
        loaded(name, tmp_path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("wrong", WRONG)
def test_idx_files_of_another_form_are_refused(wrong, packed, tmp_path, monkeypatch):
    halves = {**arrays((28, 28)), "test": WRONG[wrong]}
    written("mnist", tmp_path, monkeypatch, halves, packed=packed)
    with pytest.raises(Mistake, match="MNIST/raw are damaged .*; delete that folder"):
        loaded("mnist", tmp_path)


@pytest.mark.parametrize("end", [3, 10, -5])
def test_idx_files_that_are_cut_short_are_refused(end, tmp_path, monkeypatch):
    written("mnist", tmp_path, monkeypatch, packed=False)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:end])
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(mnist.DIGESTS, path.name, ("", digest))
    with pytest.raises(Mistake, match="MNIST/raw are damaged .*; delete that folder"):
        loaded("mnist", tmp_path)


def test_matlab_files_of_another_form_are_refused(tmp_path, monkeypatch):
    written("svhn", tmp_path, monkeypatch)
    held = scipy.io.loadmat(tmp_path / "test_32x32.mat")
    right = {name: held[name] for name in ("X", "y")}
    objects = np.array([["a text", "another"]], dtype=object)
    wrong = [
        {"X": right["X"]},
        {**right, "X": right["X"].astype(float)},
        {**right, "X": objects},
        {**right, "X": right["X"][:31]},
        {**right, "y": right["y"][1:]},
        {**right, "y": right["y"] * 0},
        {**right, "y": right["y"] + 10},
    ]
    for content in wrong:
        mat(tmp_path / "test_32x32.mat", content, monkeypatch)
        with pytest.raises(Mistake, match="test_32x32.mat is damaged .*; delete it and run again"):
            loaded("svhn", tmp_path)
    (tmp_path / "test_32x32.mat").write_bytes(b"MATLAB, they say")
    digest = hashlib.sha256(b"MATLAB, they say").hexdigest()
    monkeypatch.setitem(svhn.SHA256, "test_32x32.mat", digest)
    with pytest.raises(Mistake, match="test_32x32.mat is damaged"):
        loaded("svhn", tmp_path)


class Trap:
    """Unpickled it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_npz_files_of_another_form_are_refused_and_nothing_is_unpickled(tmp_path, monkeypatch):
    name = "medmnist_bloodmnist"
    halves = arrays((28, 28, 3), 8)
    right = {f"{half}_images": images for half, (images, _) in halves.items()}
    right |= {f"{half}_labels": labels[:, None] for half, (_, labels) in halves.items()}
    trap = np.array([Trap(tmp_path / "sprung")] * 16, dtype=object)
    wrong = [
        {key: value for key, value in right.items() if key != "test_labels"},
        {**right, "test_images": right["test_images"].astype(np.float32)},
        {**right, "test_images": right["test_images"][..., 0]},
        {**right, "test_images": right["test_images"][:, :27]},
        {**right, "test_images": trap},
        {**right, "test_labels": trap[:, None]},
        {**right, "test_labels": right["test_labels"][1:]},
        {**right, "test_labels": right["test_labels"] + 1},
        {**right, "test_labels": np.tile(right["test_labels"], 2)},
    ]
    for content in wrong:
        npz(name, tmp_path, content, monkeypatch)
        with pytest.raises(Mistake, match="bloodmnist.npz is damaged .*; delete it and run again"):
            loaded(name, tmp_path)
    npz(name, tmp_path, right, monkeypatch)
    loaded(name, tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_medmnist_comes_at_two_sizes_from_two_places(tmp_path, monkeypatch):
    name = "medmnist_pathmnist"
    written(name, tmp_path / "medmnist", monkeypatch, size=64)
    assert loaded(name, tmp_path, size=64).train.shape == (3, 64, 64)
    with pytest.raises(Mistake, match="no pathmnist.npz in "):
        loaded(name, tmp_path, size=28)
    with pytest.raises(Mistake, match="--image-size 32: medmnist_pathmnist comes at 28 and 64"):
        loaded(name, tmp_path, size=32)


@pytest.mark.parametrize("name", ["convnet-d3-w8", "convnet-d2-w8-nopool", "vgg11", "alexnet"])
def test_grey_images_of_28_pixels_are_padded_as_published(name):
    """The same as zeros around the images: for MNIST 4x4 are left after three poolings."""
    spec = parse(name)
    small, padded = (
        build(spec, shape, classes=10, generator=generator(0)).eval().double()
        for shape in ((1, 28, 28), (1, 32, 32))
    )
    images = torch.randn(2, 1, 28, 28, generator=generator(1)).double()
    maps, embedding = small.layers(images)
    assert maps[0].shape[2:] == (32, 32)
    around = torch.nn.functional.pad(images, (2, 2, 2, 2))
    torch.testing.assert_close(embedding, padded.layers(around)[1])
    other = build(spec, (3, 28, 28), classes=10, generator=generator(0))
    assert other.layers(images.float().expand(-1, 3, -1, -1))[0][0].shape[2:] == (28, 28)


@pytest.mark.parametrize("name", [*IDX, "svhn", "medmnist_bloodmnist", "eurosat"])
def test_a_set_is_made_of_it(name, tmp_path, monkeypatch, capsys):
    written(name, tmp_path / "data", monkeypatch)
    out = tmp_path / "set.safetensors"
    few = ["--method.iterations", "2", "--method.networks", "2", "--method.real-batch", "2"]
    args = ["--dataset", name, "--data-root", str(tmp_path / "data"), "--out", str(out)]
    sized = ["--image-size", "28"] if name in MED else []
    command.main([*args, *sized, "--method", "datadam", *few, "--workers", "1"])
    small = SyntheticSet.load(out)
    about = datasets.about(name, size=28 if name in MED else None)
    assert small.images.shape == (len(about.classes), *about.shape)
    assert small.classes == about.classes and small.images.isfinite().all()
