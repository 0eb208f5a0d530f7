"""The agreement of random networks' attention maps, against numpy; its command, record and page."""

import dataclasses
import itertools
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from benchmarks.attention import __main__ as command
from benchmarks.attention import page as pages_of
from benchmarks.attention import run
from benchmarks.attention.correlation import Correlations
from benchmarks.record import read
from distill.networks import build, initialise
from distill.objectives.attention import attention
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator

from conftest import write_tree

QUICK = "--ipc 2 --networks 3 --width 8".split()


def agreement(maps):
    """Of maps [K, N, D]."""
    summed = Correlations()
    for own in maps:
        summed.add(own)
    return summed.agreement()


def pearson(maps, image, other):
    """The mean over all pairs of different networks, by numpy."""
    pairs = itertools.permutations(range(len(maps)), 2)
    values = [np.corrcoef(maps[k][image], maps[m][other])[0, 1] for k, m in pairs]
    return np.mean(values)


def test_the_sums_are_the_mean_of_all_pairs():
    maps = torch.rand(4, 3, 10, generator=generator(0)) ** 3
    maps[1:, 0] += 2 * maps[0, 0]
    found = agreement(maps)
    for image in range(3):
        assert found.same[image] == pytest.approx(pearson(maps, image, image), abs=1e-9)
        others = [pearson(maps, image, n) for n in range(3) if n != image]
        assert found.other[image] == pytest.approx(np.mean(others), abs=1e-9)
    assert found.same[0] > 0.8 > found.same[1]


def test_loudness_and_level_do_not_count_and_opposites_are_minus_one():
    one = torch.rand(2, 6, generator=generator(0))
    found = agreement([one, 3 * one + 1])
    assert found.same.tolist() == pytest.approx([1, 1])
    assert agreement([one, -one]).same.tolist() == pytest.approx([-1, -1])


def test_an_image_whose_map_varies_in_one_network_alone_has_no_pair():
    """Not what rounding leaves, over 0."""
    for seed in range(20):
        maps = torch.rand(3, 2, 5, generator=generator(seed))
        maps[1:] = 1.0
        found = agreement(maps)
        assert found.same.isnan().all() and found.other.isnan().all()


def test_constant_maps_are_left_out():
    maps = torch.rand(3, 2, 5, generator=generator(0))
    maps[0, 0] = 0.25
    maps[:2, 1] = 0.0
    found = agreement(maps)
    assert found.same[0] == pytest.approx(np.corrcoef(maps[1][0], maps[2][0])[0, 1])
    assert found.same[1].isnan() and not found.other.isnan().any()


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    out = tmp_path_factory.mktemp("attention")
    command.main([*QUICK, "--out", str(out)])
    (found,) = read([out / "records"])
    return found


def test_the_record_holds_every_norm_scheme_and_layer(record):
    layers = record.results.layers
    keys = {(layer.norm, layer.initialisation, layer.layer) for layer in layers}
    assert len(layers) == len(keys) == 5 * 5 * 3 and layers[0].norm == "instance"
    assert all(len(layer.same) == len(layer.other) == 20 for layer in layers)
    values = [value for layer in layers for value in layer.same + layer.other if value is not None]
    assert min(values) >= -1 and max(values) <= 1 and max(values) > 0.5


def test_it_measures_the_maps_that_matching_uses(record, digits):
    asked = command.cli(command.Attention, QUICK, prog="x")
    _, looking = command.prepare(asked)
    images = looking.chosen
    assert images.labels.bincount().tolist() == [2] * 10
    known = {image.numpy().tobytes() for image in digits.train.images}
    assert all(image.numpy().tobytes() in known for image in images.images)
    maps = []
    for number in range(3):
        spec = dataclasses.replace(looking.network, norm="group")
        stream = generator(0, "network", number)
        network = build(spec, images.shape, classes=10, generator=generator(9))
        initialise(network, generator=stream, scheme="xavier")
        with torch.no_grad():
            features = network.layers(images.normalisation(images.images))[0][1]
        maps.append(attention(features))
    found = agreement(maps)
    (layer,) = [
        one
        for one in record.results.layers
        if (one.norm, one.initialisation, one.layer) == ("group", "xavier", 2)
    ]
    assert layer.same == pytest.approx(found.same.tolist(), abs=1e-3)
    assert (layer.height, layer.width) == (4, 4)


def test_the_page_and_its_figures(record):
    (name, page), *_ = pages_of.pages([record], []).items()
    assert name == "attention-digits" and len(page.tables) == 3 and len(page.frame) == 75
    (brief,) = page.summary
    assert brief.frame.loc[0, "layer 2, same"] == page.tables[1].frame.iloc[0, 2]
    assert brief.frame.shape == (5, 7) and page.tables[0].frame.columns[2] in brief.caption
    first = page.frame.iloc[0]
    own = record.results.layers[0].same
    assert first["same"] == pytest.approx(np.mean(own), abs=1e-4)
    assert first["same low"] < first["same"] < first["same high"]
    assert "3 random networks" in page.note and "20 real images" in page.note
    drawing = page.drawings[""]
    figure = drawing.draw(drawing.frame)
    assert [axis.get_title() for axis in figure.axes] == [
        f"layer {n} ({size} pixels)" for n, size in ((1, "8x8"), (2, "4x4"), (3, "2x2"))
    ]
    maps = page.drawings["-maps"]
    panels = maps.draw(maps.frame).axes
    assert len(panels) == run.SHOWN * (1 + 3 * (1 + run.SINGLE))
    assert panels[0].images[0].get_array().shape == (8, 8)
    plt.close("all")


def test_a_users_folder_says_how_many_classes_it_has(tmp_path, monkeypatch):
    root = write_tree(tmp_path / "pets", ("cat", "dog"), count=3)
    args = ["--dataset", "folder", "--data-root", str(root), "--image-size", "8"]
    args += ["--out", str(tmp_path)]
    command.main([*args, *QUICK])
    (record,) = read([tmp_path / "records"])
    assert len(record.results.layers[0].same) == 4
    monkeypatch.setattr(command, "MOST", 3)
    with pytest.raises(Mistake, match="--ipc 2 is 4 images in all; give at most 3"):
        command.main([*args, *QUICK])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--power", "0"], r"--power 0: give above 0"),
        (["--power", "nan"], r"'nan' is not a finite number"),
        (["--width", "6"], r"--width 6: .* multiple of 4"),
        (["--networks", "1"], r"--networks 1: give 2 or more"),
        (["--ipc", "101"], r"--ipc 101 is 1010 images in all; give at most 1000"),
        (["--dataset", "nothing"], r"unknown dataset 'nothing'"),
        (["--method", "datadam"], r"--method"),
    ],
)
def test_a_wrong_command_line_gets_one_line(args, says, fails, tmp_path):
    error = fails(command.main, [*args, "--out", str(tmp_path)])
    assert re.search(says, error), error
