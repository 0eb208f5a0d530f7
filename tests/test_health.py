import sys

import pytest
import torch

from distill.health import Health
from distill.runtime.progress import Progress

IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
FOCUSED = {"attention of layer 1": torch.eye(9)}


def said(losses, images=lambda step: IMAGES, maps=FOCUSED):
    lines = []
    health = Health(len(losses), window=1, say=lines.append)
    for step, loss in enumerate(losses):
        health.watch(step, loss, images(step), maps)
    return lines


FALLING = [100 * 0.97**step for step in range(100)]


def test_a_sound_run_is_silent():
    assert said(FALLING) == []


def test_images_that_collapse_to_a_constant():
    (line,) = said(FALLING, lambda step: IMAGES * (0.9**step))
    assert "4 of 4 images have collapsed to a constant" in line and "\n" not in line


def test_attention_that_looks_everywhere_alike():
    (line,) = said(FALLING, maps={"attention of layer 2": torch.full((3, 9), 1 / 3)})
    assert "attention of layer 2 looks everywhere alike" in line and "raise the power" in line


def test_a_loss_that_stopped_falling_early():
    (line,) = said(FALLING[:20] + [FALLING[20]] * 80)
    assert "stopped falling at about step 25 of 100" in line
    assert said(FALLING[:70] + [FALLING[70]] * 30) == []


@pytest.mark.parametrize("power", [4, 0.01])
def test_a_run_that_goes_wrong_says_so(power, digits, distil, capsys):
    progress = Progress(sys.stderr)
    settings = {"power": power, "iterations": 60, "network": "convnet-d2-w8-sigmoid"}
    distil("datadam", digits.train, 1, progress=progress, **settings)
    assert ("looks everywhere alike" in capsys.readouterr().err) is (power < 1)
