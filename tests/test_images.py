"""Real images in memory: sorted by class, normalised in one place, split without test images."""

import dataclasses

import pytest
import torch

from distill.images import About, Data, ImageSet, Normalisation
from distill.runtime.mistake import Mistake
from distill.whitening import whitened


def coloured(count=400, size=6):
    """Correlated random pictures in three classes."""
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(count, 3, 1, 1, generator=generator)
    pixels = (base * 0.7 + 0.3 * torch.rand(count, 3, size, size, generator=generator)) * 255
    labels = torch.arange(count) % 3
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.25), "test")
    about = About("x", normalisation, (3, size, size), ("a", "b", "c"))
    return ImageSet.sorted(about, pixels.to(torch.uint8), labels)


def test_images_are_sorted_by_class_and_keep_their_order_within():
    labels = torch.tensor([2, 0, 2, 1, 0])
    pixels = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 4, 4)
    about = About("x", Normalisation.fixed(1), (1, 4, 4), ("a", "b", "c"))
    images = ImageSet.sorted(about, pixels, labels.to(torch.uint8))
    assert images.labels.tolist() == [0, 0, 1, 2, 2] and images.labels.dtype == torch.int64
    assert images.images[:, 0, 0, 0].tolist() == [1, 4, 3, 0, 2]
    with pytest.raises(Mistake, match="not sorted by class; ImageSet.sorted sorts them"):
        ImageSet(images.about, images.images, labels, images.normalisation)


WRONG = [
    (lambda images, labels: (images.float(), labels), "images of x are float32 [3, 3, 6, 6]; give"),
    (lambda images, labels: (images.permute(0, 2, 3, 1), labels), "uint8 [3, 6, 6, 3]; give uint8"),
    (lambda images, labels: (images, labels[:2]), "x has 3 images and labels [2]"),
    (lambda images, labels: (images, labels + 1), "from 1 to 3; its 3 classes have 0 to 2"),
    (lambda images, labels: (images, labels - 1), "from -1 to 1; its 3 classes have 0 to 2"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_images_and_labels_that_do_not_fit_get_one_line(change, said):
    images, labels = change(torch.zeros(3, 3, 6, 6, dtype=torch.uint8), torch.arange(3))
    with pytest.raises(Mistake) as mistake:
        ImageSet.sorted(coloured().about, images, labels)
    assert said in str(mistake.value)


def test_the_images_of_a_class_are_a_view_of_the_whole():
    images = coloured()
    whole = images.images.untyped_storage().data_ptr()
    for label in range(3):
        own = images.of_class(label)
        assert torch.equal(own, images.images[images.labels == label])
        assert own.untyped_storage().data_ptr() == whole
    assert len(images.of_class(1)) == 133 and len(images.only([0, 2]).of_class(1)) == 0


def test_only_keeps_ids_and_class_names():
    part = coloured().only([2, 0])
    assert part.present == [0, 2] and part.classes == ("a", "b", "c")
    assert torch.equal(part.of_class(2), coloured().of_class(2))
    assert part.normalisation.source == "test" and part.shape == (3, 6, 6)


@pytest.mark.parametrize(
    ("size", "depth"), [(8, 3), (28, 3), (32, 3), (64, 4), (96, 4), (128, 5), (224, 5)]
)
def test_the_network_grows_with_the_images_as_in_the_field(size, depth):
    about = dataclasses.replace(coloured().about, shape=(3, size, size))
    assert about.depth == depth and about.small is (size <= 16)


def test_the_identity_of_a_dataset_says_what_is_left_out():
    about = coloured().about
    assert about.identity() == {"name": "x", "version": 1, "without": []}
    upright = dataclasses.replace(about, version=2, operations=("colour", "crop", "cutout"))
    assert upright.identity() == {"name": "x", "version": 2, "without": ["flip", "scale", "rotate"]}


def test_validation_images_are_the_last_fifth_of_each_class_of_the_training_images(digits):
    split = digits.validation()
    for label in range(10):
        own = digits.train.of_class(label)
        kept, held = (half.of_class(label) for half in split)
        assert torch.equal(torch.cat([kept, held]), own)  # disjoint, in order, none left out
        assert len(held) == round(len(own) / 5)
    assert split.train.classes == split.test.classes == digits.train.classes
    assert split.test.normalisation is digits.train.normalisation


def test_validation_never_sees_a_test_image(digits):
    blank = dataclasses.replace(digits.test, images=torch.zeros_like(digits.test.images))
    assert Data(digits.train, blank).validation().digest() == digits.validation().digest()


def test_validation_takes_another_share_and_at_least_one_image():
    data = Data(coloured(), coloured())
    assert [len(half) for half in data.validation(0.25)] == [300, 100]
    assert [len(half) for half in data.validation(1e-6)] == [397, 3]


def test_uint8_and_pixel_units_are_normalised_alike():
    images = coloured()
    normalise = images.normalisation
    as_floats = normalise(images.images.float() / 255)
    assert torch.equal(normalise(images.images), as_floats)
    expected = (images.images[0, 1, 2, 3].item() / 255 - 0.4) / 0.3
    assert abs(as_floats[0, 1, 2, 3].item() - expected) < 1e-6


def test_normalisation_is_undone_by_its_inverse():
    images = coloured()
    for normalise in (images.normalisation, whitened(Data(images, images)).train.normalisation):
        pixels = images.images.float() / 255
        assert torch.allclose(normalise.inverse(normalise(pixels)), pixels, atol=1e-4)
        # Any leading dimensions will do.
        folded = pixels.view(4, 100, 3, 6, 6)
        assert torch.allclose(normalise(folded).flatten(0, 1), normalise(pixels), atol=1e-5)


def test_zca_decorrelates_and_turns_nothing():
    images = coloured(count=2000, size=3)
    fitted = whitened(Data(images, images), epsilon=1e-5).train
    flat = fitted.normalisation(fitted.images).flatten(1)
    assert torch.allclose(flat.T.cov(), torch.eye(27), atol=0.02)
    white = fitted.normalisation.whitening.white
    assert torch.allclose(white, white.T, atol=1e-3)  # ZCA, and not any other whitening


def test_zca_keeps_small_directions_small():
    """A direction of variance v ends with v / (v + epsilon)."""
    images = coloured(count=2000, size=3)
    plain = images.normalisation(images.images).flatten(1)
    variances, axes = torch.linalg.eigh(plain.T.cov().double())
    fitted = whitened(Data(images, images), epsilon=0.1).train.normalisation
    along = (fitted(images.images).flatten(1).double() @ axes).var(0)
    assert torch.allclose(along, variances / (variances + 0.1), atol=1e-3)
    assert variances.min() < 0.1


def test_zca_is_fitted_on_training_images_alone_and_says_so():
    images = coloured()
    other = dataclasses.replace(images, images=255 - images.images)
    fitted = whitened(Data(images, other))
    assert fitted.train.normalisation is fitted.test.normalisation
    again = whitened(Data(images, images)).train.normalisation
    assert torch.equal(again.whitening.white, fitted.train.normalisation.whitening.white)
    source = fitted.train.normalisation.source
    assert "ZCA on x train" in source and images.digest() in source
    assert whitened(Data(other, other)).train.normalisation.source != source
    assert fitted.train.normalisation.describe()["zca"] == 0.1
    twice = whitened(fitted).train.normalisation  # instead of the first, not after it
    assert torch.equal(twice.whitening.white, again.whitening.white)


def test_a_fixed_normalisation_says_so():
    assert Normalisation.fixed(3).source == "fixed"
    assert Normalisation.fixed(3).describe()["zca"] is None
    black, white = Normalisation.fixed(1)(
        torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    )
    assert black.item() == -2 and white.item() == 2


def test_the_digest_sees_every_pixel_and_every_label():
    images = coloured()
    data = Data(images, coloured(count=30))
    brighter = dataclasses.replace(images, images=images.images.clone())
    brighter.images[7, 0, 0, 0] += 1
    relabelled = dataclasses.replace(images, labels=images.labels.clone())
    relabelled.labels[134] = 0
    reshaped = dataclasses.replace(images, images=images.images.view(400, 3, 4, 9))
    others = [brighter, relabelled, reshaped, images.only([0, 1])]
    assert len({images.digest(), *(other.digest() for other in others)}) == 5
    assert images.digest() == coloured().digest()
    assert len({data.digest(), *(Data(other, data.test).digest() for other in others)}) == 5
    assert data.digest() != Data(data.test, data.train).digest()
    assert data.normalised_by(Normalisation.fixed(3)).digest() == data.digest()


def test_images_that_cannot_be_whitened_get_one_line():
    images = coloured(4, size=40)
    with pytest.raises(Mistake, match="of x is 3x40x40, 4800 numbers; up to 4096 can be whitened"):
        whitened(Data(images, images))
    with pytest.raises(Mistake, match="x has one training image; give two or more"):
        whitened(Data(coloured(1), coloured()))


def test_a_normalisation_of_other_channels_is_refused():
    with pytest.raises(Mistake, match="x have 3 channels, and a normalisation of 1 was given"):
        coloured().normalised_by(Normalisation.fixed(1))
