"""Others' sets in: formats, what pixels are taken for, and files that are refused."""

import dataclasses
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from distill import __main__ as command
from distill import open_set
from distill.images import Data, ImageSet
from distill.interchange import formats, pixels
from distill.runtime import registry
from distill.runtime.mistake import Mistake
from distill.whitening import whitened


@pytest.fixture(scope="module")
def few(digits):
    """Twenty real digits in no order: float [20, 1, 8, 8] in pixel units, and their labels."""
    places = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(0))[:20]
    return digits.train.images[places].float() / 255, digits.train.labels[places]


@pytest.fixture
def take(tmp_path, capsys):
    """take(held, *flags): save what a file is to hold, import it; the set, and what was said."""

    def taken(held, *flags, name="theirs.pt"):
        path, out = tmp_path / name, tmp_path / "ours.safetensors"
        if held is not None:
            torch.save(held, path)
        out.unlink(missing_ok=True)
        command.main(["import", str(path), "--out", str(out), *flags])
        return open_set(out), capsys.readouterr().out

    return taken


def by_class(few):
    """As a set has them."""
    images, labels = few
    order = labels.argsort(stable=True)
    return images[order], labels[order]


def same(small, few):
    images, labels = by_class(few)
    return torch.equal(small.labels, labels) and torch.allclose(small.images, images, atol=1e-6)


def layouts(images, labels):
    """What others save, as torch.save gets it."""
    one_hot = torch.nn.functional.one_hot(labels, 10)
    accuracies = {"ConvNet": [np.float64(0.5), np.float32(0.25)]}  # as DC's and DM's files have
    return {
        "DC": {"data": [[images, labels]], "accs_all_exps": accuracies},
        "IDC": [images, labels],
        "named": {"x": images, "targets": labels, "epoch": 3},
        "float labels": {"data": [[images, labels.float()]]},
        "a column of labels": {"data": [[images, labels[:, None]]]},
        "one-hot": {"data": [[images, one_hot.double()]]},
        "channels last": {"data": [[images.permute(0, 2, 3, 1), labels]]},
        "no channel": {"data": [[images[:, 0], labels]]},
        "float64": {"data": [[images.double(), labels.int()]]},
        "uint8": {"data": [[(images * 255).to(torch.uint8), labels.to(torch.uint8)]]},
    }


@pytest.mark.parametrize("name", layouts(torch.zeros(1, 1, 8, 8), torch.zeros(1).long()))
def test_what_others_save_is_read(name, few, take):
    small, said = take(layouts(*few)[name])
    assert same(small, few)
    assert "pixels of 8 bits" in said and small.made.method == "imported"
    (file,) = small.made.config["files"].items()
    assert file[0] == "theirs.pt" and len(file[1]) == 16
    assert small.made.config["pixels"] == ("raw 0..255" if name == "uint8" else "raw 0..1")


def test_one_of_several_sets(few, take, fails, tmp_path):
    images, labels = few
    held = {"data": [[1 - images, labels], [images, labels]]}
    small, said = take(held, "--set", "1")
    assert same(small, few) and "set 1 of 2" in said
    args = [
        "import",
        str(tmp_path / "theirs.pt"),
        "--set",
        "2",
        "--out",
        str(tmp_path / "no.safetensors"),
    ]
    assert "holds 2 sets; give 0 to 1" in fails(command.main, args)


def test_labels_in_another_file(few, take, tmp_path):
    images, labels = few
    torch.save(labels, tmp_path / "labels_best.pt")
    small, _ = take(images, "--labels", str(tmp_path / "labels_best.pt"))
    assert same(small, few) and len(small.made.config["files"]) == 2


def test_labels_by_the_order_where_that_is_certain_or_said(digits, take, fails, tmp_path):
    grouped = torch.stack([digits.train.of_class(label)[:2] for label in range(10)]).float() / 255
    assert take(grouped)[0].labels.tolist() == [n // 2 for n in range(20)]
    small, _ = take(grouped.flatten(0, 1), "--labels", "sorted")
    assert torch.equal(small.images, grouped.flatten(0, 1))
    args = ["import", str(tmp_path / "theirs.pt"), "--out", str(tmp_path / "no.safetensors")]
    assert "holds no labels; give --labels FILE, or --labels sorted" in fails(command.main, args)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.safetensors"])
def test_files_of_other_kinds(name, few, take, tmp_path):
    images, labels = few
    path, flags = tmp_path / name, []
    if name.endswith("npz"):
        np.savez(path, images=images.numpy(), labels=labels.numpy())
    elif name.endswith("npy"):
        np.save(path, images.numpy())
        np.save(tmp_path / "labels.npy", labels.numpy())
        flags = ["--labels", str(tmp_path / "labels.npy")]
    else:
        safetensors.torch.save_file({"images": images, "labels": labels}, path)
    assert same(take(None, *flags, name=name)[0], few)


# ------------------------------------------------------------------ what the pixels are


def forward(kind, images, data):
    """Pixels in pixel units as somebody of that kind saves them."""
    usual = data.train.about.normalisation
    if kind == "normalised":
        return usual(images)
    if kind == "zca":
        return whitened(data.normalised_by(usual)).train.normalisation(images)
    return images * (255 if kind == "raw 0..255" else 1)


@pytest.mark.parametrize("kind", ["raw 0..1", "raw 0..255", "normalised", "zca"])
def test_real_digits_are_known_by_their_levels(kind, few, take, digits):
    images, labels = few
    small, said = take([forward(kind, images, digits), labels])
    assert same(small, few) and "pixels of 8 bits" in said
    assert kind.split()[0] in said.lower()


def photographs(count, seed):
    """Made-up images like photographs: noise whose amplitude falls with its frequency."""
    stream = torch.Generator().manual_seed(seed)
    frequency = torch.fft.fftfreq(16)
    radius = (frequency[:, None].square() + frequency[None].square()).sqrt().clamp(min=1 / 16)
    grey, colour = torch.randn(2, count, 3, 16, 16, generator=stream)
    noise = torch.fft.ifft2(torch.fft.fft2(grey[:, :1] + 0.5 * colour) / radius**1.2).real
    noise = noise / noise.std() * 0.25 + torch.tensor([0.49, 0.48, 0.45]).view(3, 1, 1)
    return noise.clamp(0, 1).mul(255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def pictures():
    """A made-up dataset like CIFAR, of 16 pixels: ten classes of 120."""
    about = dataclasses.replace(
        registry.load("distill.datasets", "cifar10").ABOUT, shape=(3, 16, 16)
    )
    labels = torch.arange(10).repeat_interleave(120)
    train = ImageSet.sorted(about, photographs(1200, 0), labels)
    return Data(train, train)


@pytest.fixture(scope="module")
def learned():
    """Photographs as learning leaves them: more contrast, fine noise, and beyond 0..1."""
    images = photographs(20, 1).float() / 255
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    images = 0.47 + 1.25 * (images - 0.47) + 0.03 * noise
    assert images.min() < -0.1 and images.max() > 1.1
    return images


def told(images, data, asked=None, normalisation=None):
    labels = torch.arange(len(images)) % 10
    normalisation = normalisation or data.train.about.normalisation
    return pixels.told(
        images,
        data,
        labels,
        pixels=asked,
        normalisation=normalisation,
        path="theirs.pt",
        say=lambda line: None,
    )


@pytest.mark.parametrize("kind", ["raw 0..1", "raw 0..255", "normalised"])
def test_learned_photographs_are_told_by_their_statistics(kind, pictures, learned):
    found = told(forward(kind, learned, pictures), pictures)
    assert found.way.words.startswith(kind) and "distance 0." in found.why
    assert torch.allclose(found.images, learned, atol=1e-5)


@pytest.mark.parametrize("small", [pixels.SMALL, 0], ids=["fitted", "told by the spectrum"])
def test_one_who_has_whitened_photographs_is_asked_and_obeyed(
    small, pictures, learned, monkeypatch
):
    monkeypatch.setattr(pixels, "SMALL", small)
    theirs = forward("zca", learned, pictures)
    with pytest.raises(Mistake, match="give --pixels raw, normalised, or zca"):
        told(theirs, pictures)
    found = told(theirs, pictures, "zca")
    assert torch.allclose(found.images, learned, atol=1e-3)
    assert found.way.normalisation.describe()["zca"] == 0.1


def test_another_convention_of_mean_and_deviation_can_be_given(pictures, learned):
    other = pixels.standardised(
        pictures.train.about.normalisation, None, "0.247,0.2435,0.2616", channels=3
    )
    found = told(other(learned), pictures, normalisation=other)
    assert torch.allclose(found.images, learned, atol=1e-5) and "0.247/" in found.why
    plain = pixels.standardised(other, "0", "1", channels=3)
    mtt = whitened(pictures.normalised_by(plain)).train.normalisation
    found = told(mtt(learned), pictures, "zca", plain)
    assert torch.allclose(found.images, learned, atol=1e-3)


def test_learned_digits_come_back_or_are_asked_for(digits, make):
    """They go far beyond 0..1: what is not certain is asked, and never taken for another."""
    data = digits.normalised_by(digits.train.about.normalisation)
    taken = 0
    for ipc, iterations in ((1, 60), (10, 6), (10, 60)):
        small = make("datadam", digits.train, ipc, iterations=iterations)
        for kind in ("raw 0..1", "raw 0..255", "normalised"):
            try:
                found = pixels.told(
                    forward(kind, small.images, data),
                    data,
                    small.labels,
                    pixels=None,
                    normalisation=data.train.normalisation,
                    path="theirs.pt",
                    say=print,
                )
            except Mistake:
                continue
            taken += 1
            assert torch.allclose(found.images, small.images, atol=1e-4)
    assert taken >= 3


# ------------------------------------------------------------------ what is refused


class Hostile:
    """A pickle of it writes a file where it is opened."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return exec, (f"open({str(self.place)!r}, 'w')",)


@pytest.mark.parametrize("way", ["zip", "pickle", "npz", "bare"])
def test_nothing_in_a_file_is_executed(way, few, fails, tmp_path):
    path, place = tmp_path / "theirs.pt", tmp_path / "executed"
    held = {"data": [[*few]], "more": Hostile(place)}
    if way == "npz":
        np.savez(path.with_suffix(".npz"), images=np.array([Hostile(place)], dtype=object))
        path = path.with_suffix(".npz")
    elif way == "bare":
        path.write_bytes(pickle.dumps(Hostile(place)))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=way == "zip")
    error = fails(command.main, ["import", str(path), "--out", str(tmp_path / "no.safetensors")])
    assert "is not opened" in error and "weights_only=False" not in error
    assert not place.exists() and not (tmp_path / "no.safetensors").exists()


def cut(path):
    """The first half of a file, which is named like it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def broken(few, path):
    """Damaged files by their endings, beside `path`."""
    images, labels = few
    torch.save({"data": [[images, labels]]}, path.with_suffix(".pt"))
    np.savez(path.with_suffix(".npz"), images=images.numpy(), labels=labels.numpy())
    np.save(path.with_suffix(".npy"), images.numpy())
    safetensors.torch.save_file({"images": images.contiguous()}, path.with_suffix(".safetensors"))
    files = [path.with_suffix(end) for end in (".pt", ".npz", ".npy", ".safetensors")]
    for file in files:
        cut(file)
    text = path.with_suffix(".txt")
    text.write_text("label,image")
    (empty := path.with_suffix(".bin")).touch()
    return [*files, text, empty]


def test_a_damaged_file_is_told_in_words_for_users(few, fails, tmp_path):
    for path in broken(few, tmp_path / "theirs"):
        error = fails(command.main, ["import", str(path)])
        assert error == (
            f"error: {path} is not opened: it is of another kind, damaged, or holds more than "
            "numbers; give a .pt, .npz, .npy or .safetensors\n"
        )


def wrong(images, labels):
    """What cannot be a set of digits, by what is said of it."""
    soft = torch.full((20, 10), 0.1)
    broken = images.clone()
    broken[3, 0, 2, 2] = torch.nan
    return {
        "holds 20x1x4x4, and images of digits are N x 1 x 8 x 8": [images[..., :4, :4], labels],
        "holds 20x3x8x8": [images.expand(-1, 3, -1, -1), labels],
        "label 10 is none of the 10 classes, 0 to 9": [images, labels + 10 - labels.max() + 0],
        "label -1 is none": [images, labels - 1 - labels.min()],
        "1 of its values are NaN or infinite": [broken, labels],
        "has soft labels": [images, soft],
        "soft labels, and a set here has one class": [images, labels + 0.5],
        "soft labels, and a set": [images, labels / torch.arange(20).bool()],
        "labels of shape (19,) for 20 images": [images, labels[:-1]],
        "no images of a set in": {"network": {"weight": 3}},
        "it holds a list of 0": [],
        "holds torch.complex64": [images.to(torch.complex64), labels],
        "holds 0x1x8x8": [images[:0], labels[:0]],
        "names torch.nn.modules": torch.nn.Linear(2, 2),
        "no measurement tells what its pixels are": [0.3 * images - 0.7, labels],
    }


@pytest.mark.parametrize("why", wrong(torch.rand(20, 1, 8, 8), torch.arange(20) % 10))
def test_a_wrong_file_gets_one_line(why, few, fails, tmp_path):
    path, out = tmp_path / "theirs.pt", tmp_path / "no.safetensors"
    torch.save(wrong(*few)[why], path)
    assert why in fails(command.main, ["import", str(path), "--out", str(out)])
    assert not out.exists()


def damaged(path):
    content = path.read_bytes()
    return {
        "half": content[: len(content) // 2],
        "empty": b"",
        "text": b"images",
        "nothing of it": bytes(200),
    }


@pytest.mark.parametrize("how", ["half", "empty", "text", "nothing of it", "folder", "none"])
def test_a_damaged_file_gets_one_line(how, few, fails, tmp_path):
    path = tmp_path / "theirs.pt"
    torch.save([*few], path)
    if how in ("folder", "none"):
        path.unlink()
        if how == "folder":
            path.mkdir()
    else:
        path.write_bytes(damaged(path)[how])
    error = fails(command.main, ["import", str(path), "--out", str(tmp_path / "no.safetensors")])
    assert str(path) in error


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--pixels", "white"], "unknown pixels 'white'"),
        (["--std", "a"], "--std a: give one number"),
        (["--std", "0"], "--std 0: give one number"),
        (["--mean", "1,2"], "--mean 1,2: give one number"),
        (["--pixels", "raw", "--mean", "0"], "leave them out with raw ones"),
        (["--formation", "3"], "images of 8 pixels can be cut by"),
        (["--dataset", "digit"], "unknown dataset"),
        (["--labels", "nowhere.pt"], "no file at nowhere.pt"),
    ],
)
def test_a_wrong_flag_gets_one_line(flags, why, few, fails, tmp_path):
    torch.save([*few], tmp_path / "theirs.pt")
    out = [] if "--out" in flags else ["--out", str(tmp_path / "no.safetensors")]
    assert why in fails(command.main, ["import", str(tmp_path / "theirs.pt"), *flags, *out])


def test_another_s_file_is_never_replaced(few, take, fails, tmp_path):
    take([*few])
    before = (tmp_path / "ours.safetensors").read_bytes()
    args = ["import", str(tmp_path / "theirs.pt"), "--out", str(tmp_path / "ours.safetensors")]
    command.main(args)
    torch.save([1 - few[0], few[1]], tmp_path / "theirs.pt")
    assert "holds another set" in fails(command.main, args)
    assert (tmp_path / "ours.safetensors").read_bytes() == before


def test_our_own_set_needs_no_import(digits, make, fails, tmp_path):
    make("random", digits.train, 1).save(tmp_path / "set.safetensors")
    args = ["import", str(tmp_path / "set.safetensors"), "--out", str(tmp_path / "no.safetensors")]
    assert "it is a set of this suite already" in fails(command.main, args)


def test_a_text_file_is_refused_without_the_librarys_advice(fails, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# A few images that stand for many\n")
    error = fails(command.main, ["import", str(path), "--out", str(tmp_path / "no.safetensors")])
    assert error.endswith("; give a .pt, .npz, .npy or .safetensors\n") and "Check" not in error


def test_an_unknown_verb_is_named_with_the_nearest(fails):
    error = fails(command.main, ["imprt", "theirs.pt"])
    assert "unknown verb 'imprt'; did you mean import? accepted: import, export" in error


def test_a_file_that_names_its_classes_is_of_no_others(few, take, tmp_path):
    held = {"data": [list(few)], "classes": ["zero", *"123456789"]}
    assert same(take(held, "--pixels", "raw")[0], few)  # others spell theirs as they like
    held |= {formats.PIXELS: formats.RAW, "classes": list("0123456789")}
    assert same(take(held)[0], few)
    held["classes"][3] = "lamp"
    torch.save(held, tmp_path / "others.pt")
    with pytest.raises(Mistake, match=r"of other classes than the 10 .* \('lamp', not '3'\)"):
        take(None, name="others.pt")
