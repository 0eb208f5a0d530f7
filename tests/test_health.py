"""The failure signs that the paper names are said once, in one line, and only where they are."""

import io

import pytest
import torch

from distill.health import Health
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator

IMAGES = torch.rand(4, 1, 8, 8, generator=generator(0))
DEVIATION = 0.29
"""Of the pixels of such images."""
FOCUSED = {"attention of layer 1": torch.eye(9)}


def said(losses, images=lambda step: IMAGES, maps=FOCUSED, window=1):
    lines = []
    health = Health(len(losses), window=window, deviation=DEVIATION, say=lines.append)
    for step, loss in enumerate(losses):
        health.watch(step, loss, images(step), maps)
    return lines


FALLING = [100 * 0.97**step for step in range(100)]


def test_a_sound_run_is_silent():
    assert said(FALLING) == []


def test_images_that_collapse_to_a_constant():
    (line,) = said(FALLING, lambda step: IMAGES * (0.9**step))
    assert "4 of 4 images have collapsed to a constant" in line and "\n" not in line


def test_a_single_image_that_collapses_is_counted():
    def images(step):
        weights = torch.tensor([1, 1, 1, 0.9**step]).view(4, 1, 1, 1)
        return IMAGES * weights

    (line,) = said(FALLING, images)
    assert "1 of 4 images have collapsed" in line


def test_images_that_grow_are_no_collapse():
    assert said(FALLING, lambda step: IMAGES * 1.05**step) == []


def test_attention_that_looks_everywhere_alike():
    (line,) = said(FALLING, maps={"attention of layer 2": torch.full((3, 9), 1 / 3)})
    assert "attention of layer 2 looks everywhere alike" in line and "raise the power" in line


def test_a_loss_that_stopped_falling_early():
    (line,) = said(FALLING[:20] + [FALLING[20]] * 80)
    assert "stopped falling at about step 25 of 100" in line
    assert said(FALLING[:70] + [FALLING[70]] * 30) == []


def test_networks_with_a_loss_level_each_are_compared_over_whole_rounds():
    """Four bought networks, whose losses lie far apart, while each of them falls a little."""
    losses = [0.999**step * (1, 3, 10, 30)[step % 4] for step in range(100)]
    assert said(losses, window=4) == []
    assert len(said(losses, window=1)) == 1  # what comparing five steps with five would say


@pytest.mark.parametrize("power", [4, 0.01])
def test_a_run_that_goes_wrong_says_so(power, digits, make):
    stream = io.StringIO()
    settings = {"power": power, "iterations": 60, "network": "convnet-d2-w8-sigmoid"}
    make("datadam", digits.train, 1, progress=Progress(stream), **settings)
    lines = [line for line in stream.getvalue().splitlines() if "looks everywhere alike" in line]
    assert len(lines) == (1 if power < 1 else 0)
