"""What a stranger may put where we read: nothing of it runs, none leaves its folder or fills it."""

import ast
import dataclasses
import hashlib
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import record, tables
from benchmarks.tables import Tables
from distill import datasets
from distill.datasets import _official, cifar10
from distill.runtime import reading, store
from distill.runtime.mistake import Mistake
from distill.runtime.store import Store
from distill.synthetic import SyntheticSet

from conftest import write_tree
from damage import no_hang
from records import CIFAR10, classification_record
from samples import few

ROOT = Path(__file__).parent.parent


class Evil:
    """Pickled, it writes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.write_text, (self.marker, "was here")


def evil_files(root, where):
    """CIFAR-100's files, one of them hostile but with its digest known; the file it would write."""
    own = root / "cifar-100-python"
    own.mkdir()
    few(own)
    content = pickle.loads((own / where).read_bytes())
    marker = root / "marker"
    (own / where).write_bytes(pickle.dumps({**content, "more": Evil(marker)}))
    digests = {name: hashlib.md5((own / name).read_bytes()).hexdigest() for name in FILES}
    lists = {f"{half}_list": [[half, digests[half]]] for half in ("train", "test")}
    meta = {"filename": "meta", "key": "fine_label_names", "md5": digests["meta"]}
    return type("Evil", (), {"base_folder": own.name, **lists, "meta": meta}), marker


FILES = ("train", "test", "meta")


@pytest.mark.parametrize("where", FILES)
def test_nothing_that_an_official_file_names_is_called_whatever_its_digest(tmp_path, where):
    dataset, marker = evil_files(tmp_path, where)
    with pytest.raises(Mistake, match="cifar-100-python are damaged"):
        _official.read_official(dataset, tmp_path)
    assert not marker.exists()
    pickle.loads((tmp_path / "cifar-100-python" / where).read_bytes())
    assert marker.exists(), "a plain reader would have run it"


@pytest.mark.parametrize(
    "named", [("builtins", "eval"), ("os", "system"), ("numpy", "load"), ("numpy.f2py", "dtype.x")]
)
def test_the_reader_of_official_files_knows_arrays_and_nothing_else(named):
    module, name = named
    content = f"c{module}\n{name}\n(S'1'\ntR.".encode()
    with pytest.raises(ValueError, match="no plain data"):
        _official._plain(content)


def test_an_array_that_is_not_of_bytes_is_refused(tmp_path):
    for pixels in (np.ones((2, 3072), dtype=object), np.ones((2, 3072)), np.ones((2, 5), np.uint8)):
        content = pickle.dumps({"data": pixels, "labels": [1, 2]})
        (tmp_path / "x").write_bytes(content)
        with pytest.raises((ValueError, TypeError, AttributeError)):
            _official._half(tmp_path, [["x", hashlib.md5(content).hexdigest()]])


def png(width, height, *more, rows=b""):
    """A PNG file whose head says so; of what it has not, it has nothing."""

    def chunk(name, content):
        sum_of = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum_of)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *(chunk(*one) for one in more)]
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def of_folder(root):
    with no_hang(20):
        return datasets.load("folder", root=root, size=8)


PICTURES = {
    "a size beyond measure": png(60000, 60000),
    "a large size": png(20000, 9000),
    "no size": png(0, 8),
    "text beyond measure": png(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(b"x" * 2**25))),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "text": b"hello\n",
    "nothing": b"",
    "a web page": b"<html></html>",
    "an archive": b"PK\3\4" + b"\0" * 40,
}


@pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES)
def test_no_picture_is_refused_in_a_line_that_names_it(tmp_path, content):
    path = write_tree(tmp_path) / "train" / "dog" / "1.png"
    path.write_bytes(content)
    with pytest.raises(Mistake, match=f"{path} is not an image that can be read; mend"):
        of_folder(tmp_path)


def test_what_can_be_read_is_said_and_how_many_more_cannot(tmp_path):
    folder = write_tree(tmp_path) / "train" / "dog"
    for place in range(3):
        (folder / f"a{place}.heic").write_bytes(b"ftypheic")
    says = (
        r"dog/a0.heic is not an image that can be read \(2 more end in .heic\); mend or remove it"
    )
    with pytest.raises(Mistake, match=f"{says}, or make it one of PNG, JPEG, BMP, .*, WEBP$"):
        of_folder(tmp_path)


def test_pictures_are_known_by_their_content_not_their_name(tmp_path):
    root = write_tree(tmp_path)
    before = of_folder(root)
    path = root / "train" / "dog" / "1.png"
    Image.open(path).save(path, "GIF")
    assert torch.equal(of_folder(root).train.images, before.train.images)


def put_folder(path):
    path.mkdir()


def put_loop(path):
    path.symlink_to(path)


def put_dangling(path):
    path.symlink_to(path.parent / "nowhere")


def put_pipe(path):
    os.mkfifo(path)


def put_device(path):
    path.symlink_to("/dev/zero")


STRANGE = (put_folder, put_loop, put_dangling, put_pipe, put_device)


@pytest.mark.parametrize("put", STRANGE)
def test_what_is_no_file_among_pictures_is_named(tmp_path, put):
    path = write_tree(tmp_path) / "train" / "dog" / "x.png"
    put(path)
    with pytest.raises(Mistake, match=f"{path} is no picture but a folder, a link to nothing"):
        of_folder(tmp_path)


@pytest.mark.parametrize("put", STRANGE[1:])
def test_what_is_no_folder_among_classes_is_named(tmp_path, put):
    put(write_tree(tmp_path) / "train" / "eel")
    with pytest.raises(Mistake, match="train/eel' is no class folder that can be read"):
        of_folder(tmp_path)


@pytest.mark.parametrize("name", [b"two\nlines", b"\xff\xfe", b"\x1b[31m"])
def test_a_class_whose_name_is_no_text_is_refused(tmp_path, name):
    write_tree(tmp_path)
    for half in (b"train", b"test"):
        os.mkdir(os.path.join(os.fsencode(tmp_path), half, name))
    with pytest.raises(Mistake, match="or a name that is no text") as mistake:
        of_folder(tmp_path)
    assert str(mistake.value).isprintable()


def test_a_picture_of_the_package_is_not_decoded_before_its_size_is_known(tmp_path):
    for content in (png(1024, 10_001), png(10**6, 8), png(1024, 2**31 - 1)):
        (tmp_path / "x.png").write_bytes(content)
        with no_hang(20), pytest.raises(ValueError, match="x.png: .*pixels"):
            cifar10._rows(tmp_path / "x.png")


@pytest.mark.parametrize("labels", ["[1, 300]", "[-1]", "{}", "3", "[1.0]", "[true]", '["1"]'])
def test_labels_of_the_package_that_are_none_are_refused(tmp_path, labels):
    (tmp_path / "x.json").write_text(labels)
    with pytest.raises(ValueError, match="holds no list of labels"):
        cifar10._labels(tmp_path / "x.json")


@pytest.mark.parametrize("put", STRANGE)
def test_what_is_no_file_among_records_is_named(tmp_path, put):
    put(tmp_path / "x.json")
    with no_hang(20), pytest.raises(Mistake, match="x.json is not a record to build on") as mistake:
        record.read([tmp_path])
    assert "\n" not in str(mistake.value)


@pytest.mark.parametrize("put", STRANGE[3:])
def test_a_pipe_and_a_device_in_place_of_a_set_never_hang(tmp_path, put):
    path = tmp_path / "x.safetensors"
    put(path)
    with no_hang(20), pytest.raises(Mistake, match="not a whole synthetic set: .* no plain file"):
        SyntheticSet.load(path)


def test_a_file_beyond_measure_is_not_read(tmp_path):
    path = tmp_path / "x"
    with open(path, "wb") as file:
        file.truncate(reading.MOST + 1)
    with pytest.raises(OSError, match="more than"):
        reading.whole(path)


@pytest.mark.parametrize("part", ["../../../escaped", "a/b", "two\nlines"])
def test_a_page_named_by_a_record_stays_in_its_folder(tmp_path, part):
    """The record's digest is right: whoever wrote it knows the form."""
    results = tmp_path / "results"
    dataset = dataclasses.replace(CIFAR10, judged_on=part)
    classification_record(dataset=dataset).write(results / "records")
    (results / "reported.csv").write_bytes((record.RESULTS / "reported.csv").read_bytes())
    before = {*tmp_path.rglob("*")}
    for check in (True, False):
        with pytest.raises(Mistake, match="asks for a page .*, which is no name"):
            tables.main(Tables(check=check, results=results))
    assert {*tmp_path.rglob("*")} == before


SETS = {
    "digests that are none": {"made": {"digests": None}},
    "a making of numbers": {"made": {"method": 5}},
    "seconds in letters": {"made": {"seconds": "1"}},
    "digests of other classes": {"made": {"digests": {"7": "x"}}},
    "classes of numbers": {"classes": list(range(10))},
    "a formation that is true": {"formation": True},
    "a formation with a point": {"formation": 1.0},
}


@pytest.mark.parametrize("change", SETS.values(), ids=SETS)
def test_a_sealed_set_that_says_what_cannot_be_is_refused(digits, make, tmp_path, change):
    small = make("random", digits.train.only([1]), 1)
    facts = small.facts()
    made = {**facts["made"], **change.get("made", {})}
    store.write(tmp_path / "x", small.tensors(), {**facts, **change, "made": made})
    with pytest.raises(Mistake, match="not a whole synthetic set: it holds something else"):
        SyntheticSet.load(tmp_path / "x")


@pytest.mark.parametrize(
    "facts", ["[" * 100_000, '{"seconds": NaN}', '{"seconds": -Infinity}', "{"]
)
def test_sealed_facts_that_are_no_facts_are_refused(tmp_path, facts, monkeypatch):
    monkeypatch.setattr(store.json, "dumps", lambda *_, **__: facts)
    store.write(tmp_path / "x", {"images": torch.ones(1)}, {})
    with pytest.raises(ValueError):
        store.read(tmp_path / "x")


@pytest.mark.parametrize("facts", [[], 3, None, {"identity": {"a": 1}}])
def test_a_sealed_piece_without_facts_is_set_aside(tmp_path, facts):
    said = []
    folder = Store(tmp_path, said.append)
    store.write(folder.path("x", "set", {"a": 1}), {"images": torch.ones(1)}, facts)
    assert folder.get("x", "set", {"a": 1}, of=SyntheticSet.of) is None and len(said) == 1


RUNS = {"eval", "exec"}
CALLS = {"system", "popen", "extractall", "unsafe_load", "full_load"}
READS = {
    ("torch", "load"),
    ("numpy", "load"),
    ("np", "load"),
    ("pickle", "load"),
    ("pickle", "loads"),
}
SAFE = ("allow_pickle=False", "weights_only=True")
"""With either, nothing but numbers and plain data is read."""
ASKED = ("downstream/nas/source.py",)
"""It runs the one file of code that a user names: their own space of networks."""
OWN = ("distill/runtime/processes.py", "distill/runtime/ranks.py")
"""They pass objects between processes that one command started; no file is read there."""


def calls():
    """Every call in the code: its place, whose it is, and its name; and the call."""
    for room in ("distill", "downstream", "benchmarks"):
        for path in (ROOT / room).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    owner = getattr(getattr(node.func, "value", None), "id", None)
                    called = getattr(node.func, "attr", getattr(node.func, "id", None))
                    yield name, owner, called, node


def test_nothing_in_the_code_runs_what_it_reads():
    """No shell, no evaluation, no pickle but the reader that makes plain data alone."""
    for path, owner, called, node in calls():
        where = f"{path}:{node.lineno}"
        assert called not in CALLS, where
        runs = isinstance(node.func, ast.Name) and called in RUNS
        assert not runs or path in ASKED, where
        plain = any(ast.unparse(keyword) in SAFE for keyword in node.keywords)
        assert (owner, called) not in READS or path in OWN or plain, where
        for keyword in node.keywords:
            shell = keyword.arg == "shell" and getattr(keyword.value, "value", True)
            assert not shell, f"{where}: a shell"


def test_no_line_tells_to_delete_a_file_that_is_no_set(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# A few images that stand for many\n" * 9)
    with pytest.raises(Mistake, match="give a set's file, or make it again") as raised:
        SyntheticSet.load(path)
    assert "delete it" not in str(raised.value)
