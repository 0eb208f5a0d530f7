"""MNIST, Fashion-MNIST, SVHN, MedMNIST and EuroSAT, from files of their official forms."""

import errno
import gzip
import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from PIL import Image

from distill import __main__ as command
from distill import datasets
from distill.datasets import _medmnist, _tree, eurosat, fashion_mnist, mnist, svhn
from distill.networks import build, parse
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from distill.synthetic import SyntheticSet

from conftest import write_tree

NOWHERE = "file:///nowhere/"
IDX = {
    "mnist": (mnist, torchvision.datasets.MNIST),
    "fashion_mnist": (fashion_mnist, torchvision.datasets.FashionMNIST),
}
MED = sorted(_medmnist.FAMILY + name for name in _medmnist.SETS)
NAMES = [*IDX, "svhn", *MED, "eurosat"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No host can be reached, whatever this machine could."""
    for _, known in IDX.values():
        monkeypatch.setattr(known, "mirrors", [NOWHERE])
    lists = torchvision.datasets.SVHN.split_list
    nowhere = {half: [f"{NOWHERE}{own[1]}", *own[1:]] for half, own in lists.items()}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", nowhere)
    monkeypatch.setattr(eurosat, "HOST", NOWHERE)
    monkeypatch.setattr(_medmnist, "HOST", NOWHERE)


def arrays(shape, classes=10, seed=0):
    """Images [N, ...] and labels [N] of both halves; every class is there."""
    chance = np.random.RandomState(seed)
    halves = {}
    for half, times in (("train", 4), ("test", 2)):
        labels = chance.permutation(np.repeat(np.arange(classes), times)).astype(np.uint8)
        images = chance.randint(0, 256, (len(labels), *shape)).astype(np.uint8)
        halves[half] = images, labels
    return halves


def idx(values):
    head = np.array([8 << 8 | values.ndim, *values.shape], dtype=">u4").tobytes()
    return head + values.tobytes()


def written(name, root, monkeypatch, halves=None, *, size=28, packed=True):
    """The official files of a dataset in `root`, their digests known; the arrays, [N, C, H, W]."""
    if name in IDX:
        return write_idx(name, root, monkeypatch, halves or arrays((28, 28)), packed)
    if name == "svhn":
        return write_svhn(root, monkeypatch, halves or arrays((32, 32, 3)))
    if name == "eurosat":
        return write_eurosat(root, monkeypatch)
    return write_medmnist(name, root, monkeypatch, halves, size)


def write_idx(name, root, monkeypatch, halves, packed):
    module, known = IDX[name]
    raw = root / known.__name__ / "raw"
    raw.mkdir(parents=True)
    for prefix, values in (("train", halves["train"]), ("t10k", halves["test"])):
        for kind, content in zip(("images-idx3", "labels-idx1"), map(idx, values), strict=True):
            file, zipped = f"{prefix}-{kind}-ubyte", gzip.compress(content)
            (raw / (f"{file}.gz" if packed else file)).write_bytes(zipped if packed else content)
            digests = hashlib.sha256(zipped).hexdigest(), hashlib.md5(content).hexdigest()
            monkeypatch.setitem(module.DIGESTS, file, digests)
    return {half: (images[:, None], labels) for half, (images, labels) in halves.items()}


def write_svhn(root, monkeypatch, halves):
    for half, (images, labels) in halves.items():
        noughts_are_10 = np.where(labels == 0, 10, labels).astype(np.uint8)
        content = {"X": images.transpose(1, 2, 3, 0), "y": noughts_are_10[:, None]}
        mat(root / f"{half}_32x32.mat", content, monkeypatch)
    return {half: (images.transpose(0, 3, 1, 2), own) for half, (images, own) in halves.items()}


def mat(path, content, monkeypatch):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content, do_compression=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(svhn.SHA256, path.name, digest)


def write_medmnist(name, root, monkeypatch, halves, size):
    facts = _medmnist.SETS[name.removeprefix(_medmnist.FAMILY)]
    shape = (size, size) if facts.channels == 1 else (size, size, 3)
    halves = halves or arrays(shape, len(facts.classes))
    content = {}
    for half, (images, labels) in {**halves, "val": halves["test"]}.items():
        content |= {f"{half}_images": images, f"{half}_labels": labels[:, None]}
    npz(name, root, content, monkeypatch, size)
    return {
        half: (images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2), labels)
        for half, (images, labels) in halves.items()
    }


def npz(name, root, content, monkeypatch, size=28):
    official = name.removeprefix(_medmnist.FAMILY)
    path = root / (f"{official}.npz" if size == 28 else f"{official}_{size}.npz")
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **content)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(_medmnist.SETS[official].md5, size, digest)
    return path


def write_eurosat(root, monkeypatch, each=5):
    """torchvision's archive: JPEG pictures, each of one colour."""
    (root / "eurosat").mkdir(parents=True)
    path = root / "eurosat" / "EuroSAT.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for label, name in enumerate(eurosat.COUNTS):
            for number in range(each):
                buffer = io.BytesIO()
                Image.new("RGB", (64, 64), (20 * label, 40 * number, 0)).save(buffer, "JPEG")
                archive.writestr(f"2750/{name}/{name}_{number + 1}.jpg", buffer.getvalue())
    for name in eurosat.COUNTS:
        monkeypatch.setitem(eurosat.COUNTS, name, each)
    monkeypatch.setattr(eurosat, "MD5", hashlib.md5(path.read_bytes()).hexdigest())


def loaded(name, root, size=28):
    return datasets.load(name, root=root, size=size if name in MED else None)


def files(root):
    """The official ones, not what is made of them."""
    return sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".images")


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
    assert facts["fashion_mnist"].classes[::9] == ("T-shirt/top", "Ankle boot")
    without = {name for name, own in facts.items() if "flip" not in own.operations}
    organs = {f"medmnist_organ{view}mnist" for view in "acs"}
    assert without == {"mnist", "svhn"} | organs
    digests = [md5 for own in _medmnist.SETS.values() for md5 in own.md5.values()]
    assert len(set(digests)) == 22 and {len(md5) for md5 in digests} == {32}
    assert sum(eurosat.COUNTS.values()) == 27_000


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


def test_the_split_of_eurosat_is_drawn_once_for_all(tmp_path, monkeypatch):
    """By class, from a fixed seed, and the same from the archive and from its folder."""
    written("eurosat", tmp_path, monkeypatch)
    data = loaded("eurosat", tmp_path)
    assert data.train.labels.bincount().tolist() == [4] * 10
    assert data.test.labels.bincount().tolist() == [1] * 10
    shade = [[round(g / 40) for g in half.images[:, 1, 0, 0].tolist()] for half in data]
    drawn = shade[1]
    assert len(set(drawn)) > 2, "another picture of every class"
    for label in range(10):
        assert sorted([*shade[0][4 * label : 4 * label + 4], drawn[label]]) == [0, 1, 2, 3, 4]
    path = tmp_path / "eurosat" / "EuroSAT.zip"
    zipfile.ZipFile(path).extractall(tmp_path / "eurosat")
    path.unlink()
    assert loaded("eurosat", tmp_path).digest() == data.digest()
    (tmp_path / "eurosat" / "2750" / "River" / "River_3.jpg").unlink()
    with pytest.raises(Mistake, match="2750/River holds 4 pictures, not 5: delete the folder"):
        loaded("eurosat", tmp_path)


def test_the_split_of_a_whole_class_of_eurosat_stays_as_it_is(tmp_path):
    (tmp_path / "Pasture").mkdir()
    for number in range(1, 2001):
        (tmp_path / "Pasture" / f"Pasture_{number}.jpg").touch()
    train, test = eurosat._split(_tree.Folder(tmp_path), eurosat.ABOUT, 5)
    assert len(train) == 1600 and len(test) == 400
    numbers = [file.name.removeprefix("Pasture/Pasture_") for file in test[::100]]
    assert numbers == ["10.jpg", "1486.jpg", "1900.jpg", "513.jpg"]


def test_a_damaged_picture_in_eurosat_is_named(tmp_path, monkeypatch):
    written("eurosat", tmp_path, monkeypatch)
    path = tmp_path / "eurosat" / "EuroSAT.zip"
    zipfile.ZipFile(path).extractall(tmp_path)
    (tmp_path / "2750" / "River" / "River_3.jpg").write_bytes(b"no picture")
    with pytest.raises(Mistake, match="2750/River/River_3.jpg is not an image that can be read"):
        loaded("eurosat", tmp_path)


def test_a_tree_of_eurosat_that_is_split_already(tmp_path):
    write_tree(tmp_path / "eurosat", list(eurosat.COUNTS), count=2, size=70)
    data = loaded("eurosat", tmp_path)
    assert data.train.shape == (3, 64, 64) and len(data.train) == len(data.test) == 20
    (tmp_path / "eurosat" / "test").rename(tmp_path / "eurosat" / "val")
    assert loaded("eurosat", tmp_path).digest() == data.digest()
    (tmp_path / "eurosat" / "val").rename(tmp_path / "eurosat" / "test")
    (tmp_path / "eurosat" / "test" / "River").rename(tmp_path / "eurosat" / "test" / "Stream")
    with pytest.raises(Mistake, match="test lacks the class folder 'River'.*; those of eurosat"):
        loaded("eurosat", tmp_path)


def write_digits(root, size=28, colour=0):
    """A tree of grey pictures in class folders 0 to 9."""
    for half in ("train", "test"):
        for digit in range(10):
            folder = root / half / str(digit)
            folder.mkdir(parents=True)
            picture = Image.new("L", (size, size), 20 * digit)
            picture.save(folder / "1.png")
            Image.new("RGB", (size, size), (9, 9, 9 + colour)).save(folder / "2.png")


@pytest.mark.parametrize("name", [*IDX, "svhn"])
@pytest.mark.parametrize("form", ["root", "folder", "zip"])
def test_a_tree_of_numbered_folders(name, form, tmp_path):
    write_digits(tmp_path / name)
    if form == "zip":
        shutil.make_archive(str(tmp_path / name), "zip", tmp_path / name)
        shutil.rmtree(tmp_path / name)
    data = loaded(name, tmp_path / name if form == "root" else tmp_path)
    about = datasets.about(name)
    for half in data:
        assert half.shape == about.shape and half.classes == about.classes and half.name == name
        assert half.labels.tolist() == [label for label in range(10) for _ in range(2)]
        assert half.images[6].unique().tolist() == [60] and half.images[7].unique().tolist() == [9]


@pytest.mark.parametrize("name", [*IDX, "svhn"])
def test_numbered_folders_of_another_name_may_be_of_another_dataset(name, tmp_path):
    write_digits(tmp_path / "tree")
    path = shutil.make_archive(str(tmp_path / "tree"), "zip", tmp_path / "tree")
    for root in (tmp_path / "tree", Path(path)):
        with pytest.raises(Mistake, match=f"in {root} may be of any dataset; .* the name {name}"):
            loaded(name, root)
    own = Path(path).rename(tmp_path / f"{name}.zip")
    assert len(loaded(name, own).train) == 20


def test_a_tree_with_other_folders_or_colours_is_refused(tmp_path):
    write_digits(tmp_path / "mnist", colour=1)
    with pytest.raises(Mistake, match="mnist/train/0 holds a picture in colour; mnist is grey"):
        loaded("mnist", tmp_path)
    (tmp_path / "mnist" / "train" / "7").rename(tmp_path / "mnist" / "train" / "seven")
    with pytest.raises(Mistake, match="mnist/train lacks the class folder '7'"):
        loaded("mnist", tmp_path)


def test_a_tree_of_another_dataset_is_passed_over(tmp_path, monkeypatch):
    write_tree(tmp_path)
    written("mnist", tmp_path, monkeypatch)
    assert loaded("mnist", tmp_path).train.shape == (1, 28, 28)


@pytest.mark.parametrize("name", ["convnet-d3-w8", "convnet-d2-w8-nopool", "vgg11", "alexnet"])
def test_grey_images_of_28_pixels_are_padded_as_published(name):
    """The same as zeros around the images: for MNIST 4x4 are left after three poolings."""
    spec = parse(name)
    small, padded = (
        build(spec, shape, classes=10, generator=generator(0)).eval()
        for shape in ((1, 28, 28), (1, 32, 32))
    )
    images = torch.randn(2, 1, 28, 28, generator=generator(1))
    maps, embedding = small.layers(images)
    assert maps[0].shape[2:] == (32, 32)
    around = torch.nn.functional.pad(images, (2, 2, 2, 2))
    torch.testing.assert_close(embedding, padded.layers(around)[1])
    other = build(spec, (3, 28, 28), classes=10, generator=generator(0))
    assert other.layers(images.expand(-1, 3, -1, -1))[0][0].shape[2:] == (28, 28)


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
