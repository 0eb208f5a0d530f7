"""Our sets out, in the formats of others: what they get, and what an export never replaces."""

import contextlib
import dataclasses
import os
import threading

import numpy as np
import pytest
import torch

from distill import __main__ as command
from distill import open_set
from distill.interchange import exporting
from distill.runtime.mistake import Mistake
from distill.sets.export import MARK


def test_a_learned_set_goes_out_and_comes_back_to_the_last_bit(digits, make, tmp_path, capsys):
    small = make("datadam", digits.train, 2, rate=5.0)
    small.save(tmp_path / "set.safetensors")
    command.main(["export", str(tmp_path / "set.safetensors"), "--to", str(tmp_path / "out")])
    back = tmp_path / "back.safetensors"
    command.main(["import", str(tmp_path / "out" / "set.pt"), "--out", str(back)])
    again = open_set(back)
    assert torch.equal(again.images, small.images) and torch.equal(again.labels, small.labels)
    assert again.digest() == small.digest() and again.made.digests == small.made.digests
    images, labels = torch.load(tmp_path / "out" / "set.pt", weights_only=True)["data"][0]
    assert images.dtype == torch.float32 and labels.dtype == torch.int64
    assert len(list((tmp_path / "out" / "pictures").rglob("*.png"))) == 20
    assert MARK.encode() in (tmp_path / "out" / "sheet.png").read_bytes()
    printed = capsys.readouterr().out
    assert "set.pt" in printed and "taken as the file says, raw 0..1" in printed


def test_what_says_that_it_is_in_pixel_units_is_not_measured(digits, make, fails, tmp_path):
    small = make("random", digits.train, 2)
    wild = dataclasses.replace(small, images=300 * small.images - 100.5)
    wild.save(tmp_path / "set.safetensors")
    command.main(["export", str(tmp_path / "set.safetensors"), "--to", str(tmp_path / "out")])
    back = tmp_path / "back.safetensors"
    args = ["import", str(tmp_path / "out" / "set.pt"), "--out", str(back)]
    assert "leave them out with raw ones" in fails(command.main, [*args, "--mean", "0"])
    assert not back.exists()
    command.main(args)
    assert torch.equal(open_set(back).images, wild.images)


def test_export_does_not_wait_for_a_pipe(digits, make, fails, tmp_path):
    make("random", digits.train, 1).save(tmp_path / "set.safetensors")
    (tmp_path / "out").mkdir()
    pipe = tmp_path / "out" / "set.pt"
    os.mkfifo(pipe)

    def write():
        with contextlib.suppress(BrokenPipeError):
            pipe.write_bytes(MARK.encode())

    threading.Thread(target=write, daemon=True).start()
    out = str(tmp_path / "out")
    args = ["export", str(tmp_path / "set.safetensors"), "--to", out, "--kind", "pt"]
    assert "of no earlier export" in fails(command.main, args)
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # so that the thread ends


def test_of_a_set_with_formation_others_get_what_a_network_is_shown(digits, make, tmp_path):
    small = make("datadam", digits.train, 1, formation=2)
    small.save(tmp_path / "set.safetensors")
    out = tmp_path / "out"
    args = ["export", str(tmp_path / "set.safetensors"), "--to", str(out), "--kind", "pt"]
    command.main(args)
    images, labels = torch.load(out / "set.pt", weights_only=True)["data"][0]
    assert torch.equal(images, small.decoded()[0]) and len(labels) == 40
    assert not (out / "pictures").exists()


@pytest.mark.parametrize("name", ["set.pt", "sheet.png", "pictures/notes.txt"])
def test_export_replaces_its_own_and_nothing_else(name, digits, make, fails, tmp_path):
    make("random", digits.train, 1).save(tmp_path / "set.safetensors")
    args = ["export", str(tmp_path / "set.safetensors"), "--to", str(tmp_path / "out")]
    command.main(args)
    command.main(args)
    (tmp_path / "out" / name).write_text("mine")
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert "of no earlier export" in fails(command.main, args)
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_a_kind_without_its_library_is_left_out_or_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert exporting.asked(None) == ["pictures", "pt", "sheet"]
    with pytest.raises(
        Mistake, match="pyarrow; run: pip install pyarrow, or leave parquet out of --kind"
    ):
        exporting.asked("pt,parquet")
    with pytest.raises(Mistake, match="unknown kind 'zip'"):
        exporting.asked("zip")


def test_pandas_and_datasets_open_the_parquet_file(digits, make, tmp_path):
    pytest.importorskip("pyarrow")
    import io
    import json

    import pandas
    import pyarrow.parquet
    from PIL import Image

    small = make("random", digits.train, 1)
    (tmp_path / "set.parquet").write_bytes(exporting.parquet(small))
    frame = pandas.read_parquet(tmp_path / "set.parquet")
    assert frame["label"].tolist() == small.labels.tolist()
    first = Image.open(io.BytesIO(frame["image"][0]["bytes"]))
    assert np.array_equal(np.asarray(first), small.images[0, 0].mul(255).round().numpy())
    schema = pyarrow.parquet.read_schema(tmp_path / "set.parquet").metadata
    features = json.loads(schema[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": list(small.classes), "_type": "ClassLabel"}
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_parquet(str(tmp_path / "set.parquet"), cache_dir=str(tmp_path))
    assert rows.features["label"].names == list(small.classes)
    assert np.array_equal(np.asarray(rows[0]["image"]), np.asarray(first))


def test_where_export_cannot_write_it_names_no_flag_of_another(digits, make, fails, tmp_path):
    make("random", digits.train, 1).save(tmp_path / "set.safetensors")
    (tmp_path / "file").touch()
    args = ["export", str(tmp_path / "set.safetensors"), "--to", str(tmp_path / "file")]
    error = fails(command.main, args)
    assert "file is a file" in error and error.endswith("; choose another folder\n")
