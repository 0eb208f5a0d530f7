import torch

from distill.images import Data, ImageSet, Normalisation, whitened


def coloured(count=400, size=6):
    """Correlated random pictures in three classes."""
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(count, 3, 1, 1, generator=generator)
    pixels = (base * 0.7 + 0.3 * torch.rand(count, 3, size, size, generator=generator)) * 255
    labels = torch.arange(count) % 3
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.25), "test")
    return ImageSet("x", pixels.to(torch.uint8), labels, ("a", "b", "c"), normalisation)


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


def test_zca_decorrelates_and_keeps_small_directions_small():
    images = coloured(count=2000, size=3)
    fitted = whitened(Data(images, images), epsilon=1e-5).train
    flat = fitted.normalisation(fitted.images).flatten(1)
    assert torch.allclose(flat.T.cov(), torch.eye(27), atol=0.02)
    assert "ZCA" in fitted.normalisation.source and fitted.normalisation.describe()["zca"] == 1e-5


def test_a_fixed_normalisation_says_so():
    assert Normalisation.fixed(3).source == "fixed"
    assert Normalisation.fixed(3).describe()["zca"] is None


def test_only_keeps_ids_and_class_names():
    part = coloured().only([2, 0])
    assert part.present == [0, 2] and part.classes == ("a", "b", "c")
    assert torch.equal(part.of_class(2), coloured().of_class(2))


def test_the_digest_sees_every_pixel():
    one, other = coloured(), coloured()
    assert one.digest() == other.digest()
    other.images[7, 0, 0, 0] += 1
    assert one.digest() != other.digest()
