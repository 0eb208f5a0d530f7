"""The loop over pixels, against the same loop written out by hand."""

import dataclasses
import math

import pytest
import torch

from benchmarks.cost import reference
from distill import __main__ as command
from distill.learn import Config, Step, first_images, learn
from distill.methods import datadam, dm, herding
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator


def first_by_hand(real, ipc):
    """[G, ipc, C, H, W] normalised: random real images, each class from its own stream."""
    start = []
    for label in real.present:
        pixels = real.images[real.labels == label]
        order = torch.randperm(len(pixels), generator=generator(0, "start", label))
        start.append(real.normalisation(pixels[order[:ipc]]))
    return torch.stack(start)


@pytest.mark.parametrize("networks", [0, 2])
@pytest.mark.parametrize(
    ("schedule", "averaged"), [("constant", 0), ("linear", 0), ("constant", 0.5), ("linear", 0.3)]
)
def test_the_loop_is_the_plain_one(digits, make, networks, schedule, averaged):
    """SGD with momentum, a rate that is constant or falls to zero, the mean of the last images."""
    real = digits.train.only([1, 4, 7])
    small = make(
        "datadam",
        real,
        2,
        networks=networks,
        iterations=5,
        rate=0.5,
        momentum=0.8,
        schedule=schedule,
        averaged=averaged,
        real_batch=40,
    )
    config = datadam.Config(**small.made.config)
    images, velocity = first_by_hand(real, 2), 0
    rates = {"constant": [0.5] * 5, "linear": [0.5, 0.4, 0.3, 0.2, 0.1]}[schedule]
    after = []
    for step, rate in enumerate(rates):
        images = images.detach().requires_grad_()
        drawn = step % networks if networks else step
        loss = reference.loss(images, real, config, step=drawn)
        (gradient,) = torch.autograd.grad(loss, images)
        velocity = 0.8 * velocity + gradient
        images = images - rate * velocity
        after.append(images.detach())
    last = {0: 1, 0.5: 3, 0.3: 2}[averaged]
    expected = real.normalisation.inverse(torch.stack(after[-last:]).mean(0))
    assert torch.allclose(small.images, expected.flatten(0, 1), atol=1e-3)
    assert not torch.allclose(after[0], after[-1], atol=1e-2)


class Pull:
    """An objective that pulls the images to 0; `spoil(step)` has the last word on each."""

    window = 1

    def __init__(self, spoil=lambda step: step):
        self.spoil, self.numbers = spoil, []

    def prepare(self, progress):
        self.numbers.append("prepared")

    def step(self, images, number):
        self.numbers.append(number)
        return self.spoil(Step(float(images.square().sum()), images.detach().clone(), {}))


def run(real, objective, **changes):
    return learn(
        objective,
        real,
        2,
        config=Config(**{"iterations": 3, "rate": 0.5, "momentum": 0, **changes}),
        seed=0,
        device=torch.device("cpu"),
        progress=Progress(),
    )


def test_any_objective_can_be_learned_for(digits):
    real = digits.train.only([2, 6])
    objective = Pull()
    images = run(real, objective)
    assert objective.numbers == ["prepared", 0, 1, 2]
    assert images.shape == (2, 2, 1, 8, 8) and images.dtype == torch.float32
    halved = first_by_hand(real, 2) * 0.5**3
    assert torch.allclose(images, real.normalisation.inverse(halved), atol=1e-6)


def test_no_steps_leave_the_first_images(digits):
    real = digits.train.only([2, 6])
    for averaged in (0, 0.5):
        images = run(real, Pull(), iterations=0, averaged=averaged)
        first = real.normalisation.inverse(first_by_hand(real, 2))
        assert torch.allclose(images, first, atol=1e-6)


def spoilt_pixel(step):
    step.gradient[1, 0, 0, 3, 4] = math.inf
    return step


SPOILED = {
    "loss": lambda step: step._replace(loss=math.nan),
    "endless loss": lambda step: step._replace(loss=math.inf),
    "gradient": lambda step: step._replace(gradient=step.gradient * math.nan),
    "a single pixel": spoilt_pixel,
}


@pytest.mark.parametrize("last", [0, 2])
@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_is_not_finite_is_refused_also_at_the_last_step(digits, spoil, last):
    numbers = iter(range(3))
    objective = Pull(lambda step: spoil(step) if next(numbers) == last else step)
    with pytest.raises(Mistake, match=f"at step {last + 1} of 3 .*lower --method.rate than 0.5"):
        run(digits.train.only([2, 6]), objective)
    assert objective.numbers[-1] == last


def test_a_run_that_ends_in_infinity_saves_nothing(fails, tmp_path):
    out = tmp_path / "set.safetensors"
    flags = ["--method.rate", "1e38", "--method.iterations", "1", "--method.networks", "1"]
    flags += ["--method.weight", "1e20", "--method.network", "convnet-d2-w8"]
    error = fails(command.main, ["--method", "datadam", "--out", str(out), *flags])
    assert "at step 1 of 1" in error and "give a lower --method.rate" in error
    assert list(tmp_path.iterdir()) == []


BOUNDS = [
    (dm.Config, "iterations", -1, "give 0 or more"),
    (dm.Config, "rate", 0, "give above 0"),
    (dm.Config, "rate", -1, "give above 0"),
    (dm.Config, "rate", math.nan, "give above 0"),
    (dm.Config, "rate", math.inf, "give above 0"),
    (dm.Config, "momentum", -0.1, "give 0 or more and below 1"),
    (dm.Config, "momentum", 1, "give 0 or more and below 1"),
    (dm.Config, "momentum", 2, "give 0 or more and below 1"),
    (dm.Config, "momentum", math.nan, "give 0 or more and below 1"),
    (dm.Config, "averaged", 1, "give 0 or more and below 1"),
    (dm.Config, "averaged", -0.5, "give 0 or more and below 1"),
    (dm.Config, "formation", 0, "give 1 or more"),
    (dm.Config, "networks", -1, "give 0 or more"),
    (dm.Config, "real_batch", 0, "give 1 or more"),
    (datadam.Config, "power", 0, "give above 0"),
    (datadam.Config, "power", math.inf, "give above 0"),
    (datadam.Config, "weight", 0, "give above 0"),
    (datadam.Config, "balance", -1, "give 0 or more"),
    (datadam.Config, "balance", math.nan, "give 0 or more"),
    (herding.Config, "networks", 0, "give 1 or more"),
]


@pytest.mark.parametrize(("config", "name", "value", "says"), BOUNDS)
def test_a_number_that_cannot_be_is_refused_in_a_program_and_in_a_command(
    config, name, value, says, fails, tmp_path
):
    flag = f"--method.{name.replace('_', '-')}"
    with pytest.raises(Mistake) as refusal:
        config(**{name: value})
    assert str(refusal.value) == f"{flag} {value}: {says}"
    method = config.__module__.rpartition(".")[2]
    method = "dm" if method == "matching" else method
    out = tmp_path / "set.safetensors"
    error = fails(command.main, ["--method", method, "--out", str(out), f"{flag}={value}"])
    (number,) = (field.type(value) for field in dataclasses.fields(config) if field.name == name)
    assert f"{flag} {number}: {says}" in error
    assert not out.exists()


@pytest.mark.parametrize(
    "good",
    [
        {"iterations": 0, "momentum": 0, "averaged": 0, "networks": 0, "real_batch": 1},
        {"rate": 1e-9, "momentum": 0.999, "averaged": 0.999, "power": 0.1, "balance": 0},
    ],
)
def test_what_lies_just_within_the_bounds_is_taken(good):
    config = datadam.Config(**good)
    assert all(getattr(config, name) == value for name, value in good.items())


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("schedule", "linaer", "accepted: constant, linear; did you mean linear?"),
        ("start", "reel", "accepted: real, noise; did you mean real?"),
        ("network", "convent-w8", "did you mean convnet"),
    ],
)
def test_a_word_that_cannot_be_is_refused(name, value, says, fails, tmp_path):
    with pytest.raises(Mistake, match=says.replace("?", "[?]")):
        dm.Config(**{name: value})
    args = [f"--method.{name}={value}", "--out", str(tmp_path / "set")]
    error = fails(command.main, ["--method", "dm", *args])
    assert says in error and not (tmp_path / "set").exists()


def test_a_formation_that_does_not_fit_the_images_is_refused(fails, digits, make, tmp_path):
    says = "--method.formation 3: images of 8 pixels can be cut by 1, 2; choose one of these"
    with pytest.raises(Mistake, match=says):
        make("datadam", digits.train, 1, formation=3)
    out = tmp_path / "set.safetensors"
    assert says in fails(command.main, ["--method.formation=3", "--out", str(out)])
    assert not out.exists()


def test_images_start_as_real_ones_of_their_class_or_as_noise(digits):
    real = digits.train.only([3, 8])
    started = first_images(real, 4, config=Config(), seed=5)
    for images, label in zip(started, (3, 8), strict=True):
        own = real.normalisation(digits.train.of_class(label))
        assert all(any(torch.equal(image, other) for other in own) for image in images)
        assert len(images.flatten(1).unique(dim=0)) == 4
    noise = first_images(real, 50, config=Config(start="noise"), seed=5)
    assert abs(noise.mean()) < 0.05 and abs(noise.std() - 1) < 0.05
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("start", ["real", "noise"])
def test_the_first_images_of_a_class_follow_its_own_seed_alone(digits, start):
    config = Config(start=start)
    pair = first_images(digits.train.only([3, 8]), 2, config=config, seed=0)
    alone = first_images(digits.train.only([8]), 2, config=config, seed=0)
    other = first_images(digits.train.only([8]), 2, config=config, seed=1)
    assert torch.equal(pair[1], alone[0]) and not torch.equal(alone, other)


def test_the_rate_falls_to_zero_only_after_the_last_step():
    linear = dataclasses.replace(Config(rate=2.0, iterations=4), schedule="linear")
    assert [linear.rate_at(step) for step in range(5)] == [2.0, 1.5, 1.0, 0.5, 0.0]
    assert {Config(rate=2.0, iterations=4).rate_at(step) for step in range(4)} == {2.0}
