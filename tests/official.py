"""MNIST, Fashion-MNIST, SVHN, MedMNIST and EuroSAT in files of their official forms, for tests."""

import gzip
import hashlib
import io
import zipfile

import numpy as np
import scipy.io
import torchvision
from PIL import Image

from distill import datasets
from distill.datasets import _medmnist, eurosat, fashion_mnist, mnist, svhn

NOWHERE = "file:///nowhere/"
IDX = {
    "mnist": (mnist, torchvision.datasets.MNIST),
    "fashion_mnist": (fashion_mnist, torchvision.datasets.FashionMNIST),
}
MED = sorted(_medmnist.FAMILY + name for name in _medmnist.SETS)
NAMES = [*IDX, "svhn", *MED, "eurosat"]


def unreachable(monkeypatch):
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
