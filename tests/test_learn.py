"""The loop over pixels, against the same loop written out by hand."""

import dataclasses
import math

import pytest
import torch

from benchmarks import command as benchmark
from benchmarks.cost import reference
from distill import __main__ as command
from distill import datasets, formation
from distill import learn as learning
from distill.checkpoints import NONE, Checkpoints, State
from distill.images import Data, ImageSet
from distill.learn import Config, Step, first_images, learn
from distill.methods import datadam, dm, herding
from distill.plan import Plan, distill
from distill.runtime import identity
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


def run(real, objective, checkpoints=NONE, **changes):
    return learn(
        objective,
        real,
        2,
        config=Config(**{"iterations": 3, "rate": 0.5, "momentum": 0, **changes}),
        seed=0,
        device=torch.device("cpu"),
        progress=Progress(),
        checkpoints=checkpoints,
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
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


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
    method = {"matching": "dm", "_selection": "herding"}.get(method, method)
    out = tmp_path / "set.safetensors"
    error = fails(command.main, ["--method", method, "--out", str(out), f"{flag}={value}"])
    (number,) = (field.type(value) for field in dataclasses.fields(config) if field.name == name)
    said = f"{flag} {number}: {says}" if math.isfinite(value) else f"'{value}' is not a finite"
    assert said in error
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
        ("schedule", "linaer", "did you mean linear? accepted: constant, linear"),
        ("start", "reel", "did you mean real? accepted: real, noise, herding, kcenter, FILE.csv"),
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


def of_file(tmp_path, rows, head="# where they are from\nclass,position\n"):
    """A file of positions."""
    path = tmp_path / "first.csv"
    path.write_text(head + "".join(f"{label},{place}\n" for label, place in rows))
    return str(path)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("start", ["herding", "kcenter"])
def test_images_start_as_those_that_a_selection_makes(digits, start, factor):
    """Of its laptop preset and the seed of the set; as many as a formation has parts."""
    real = digits.train.only([3, 8])
    first = first_images(real, 2, config=Config(start=start, formation=factor), seed=5)
    chosen = distill(Plan.of(start, real.about, ipc=2 * factor**2, seed=5), real).images
    for place in (0, 1):
        own = chosen[place * 2 * factor**2 : (place + 1) * 2 * factor**2]
        assert torch.equal(first[place], real.normalisation(formation.encode(own, factor)))
    assert not torch.equal(first, first_images(real, 2, config=Config(formation=factor), seed=5))


def test_where_a_selection_has_too_few_images_for_all_the_parts_they_come_round_again():
    pixels = torch.randint(0, 256, (3, 1, 8, 8), generator=generator(0), dtype=torch.uint8)
    real = ImageSet.sorted(datasets.about("digits"), pixels, torch.zeros(3))
    (first,) = first_images(real, 1, config=Config(start="kcenter", formation=2), seed=0)
    chosen = distill(Plan.of("kcenter", real.about, ipc=3), real).images
    expected = formation.encode(chosen[[0, 1, 2, 0]], 2)
    assert torch.equal(first, real.normalisation(expected))


def test_images_start_as_those_that_a_file_names_in_the_order_of_the_dataset(tmp_path):
    """Also where other classes are not there, or a part of the images is held back."""
    pixels = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    labels = torch.tensor([3, 8, 5, 8] * 10)  # so 8 is at all odd positions
    real = ImageSet.sorted(datasets.about("digits"), pixels, labels)
    path = of_file(tmp_path, [(8, 31), (3, 4), (8, 5), (5, 2), (3, 0), (5, 10), (8, 7)])
    config = Config(start=path)
    wanted = {3: [4, 0], 5: [2, 10], 8: [31, 5]}
    for some in (real, real.only([8, 3]), Data(real, real).validation(0.2).train):
        first = first_images(some, 2, config=config, seed=0)
        places = torch.tensor([wanted[label] for label in some.present])
        expected = places[:, :, None, None, None].expand(-1, -1, 1, 8, 8).to(torch.uint8)
        assert torch.equal(first, real.normalisation(expected))


def test_a_start_from_a_file_is_known_by_the_images_it_names_wherever_it_lies(tmp_path):
    rows = [(0, 3), (1, 4), (0, 2)]
    config = Config(start=of_file(tmp_path, rows))
    assert identity.changed(config) == {"start": "positions 0:3,2 1:4"}
    assert Config(**dataclasses.asdict(config)) == config
    (tmp_path / "b").mkdir()
    assert Config(start=of_file(tmp_path / "b", rows[1:] + rows[:1])) != config
    assert Config(start=of_file(tmp_path / "b", [rows[1], rows[0], rows[2]])) == config
    label = benchmark.label("dm", "laptop", {"start": config.start})
    assert label.startswith("dm start=positions@") and len(label) < 30


@pytest.mark.parametrize(
    ("rows", "head", "says"),
    [
        ([(0, 1)], "klass,position\n", "has no column class, but 'klass', 'position'.; give a CSV"),
        ([(0, 1)], "", "has no column class, but '0', '1'"),
        ([(0, "x")], "class,position\n", "does not say .*line 2: 'x' .*columns class and position"),
        ([(0, 3), (0, -1)], "# a\n\nclass,position\n", "line 5: '-1' is no whole number of 0 or"),
        ([], "class,position\n", "it names no image"),
        ([(0, 1), (1, 1), (0, 1)], "#\nclass,position\n", "line 5 .* names image 1 again; leave"),
    ],
)
def test_a_file_that_names_no_images_is_refused(tmp_path, rows, head, says):
    with pytest.raises(Mistake, match=says):
        Config(start=of_file(tmp_path, rows, head))
    with pytest.raises(Mistake, match="does not say with which images to start"):
        Config(start=str(tmp_path / "none.csv"))


def test_a_file_must_name_enough_images_of_the_class(digits, tmp_path):
    real = digits.train.only([3])
    own = real.positions[:2].tolist()
    few = Config(start=of_file(tmp_path, [(3, own[0])]))
    with pytest.raises(Mistake, match="names 1 images of class '3' where 2 are needed"):
        first_images(real, 2, config=few, seed=0)
    strange = Config(start=of_file(tmp_path, [(3, own[0]), (3, own[1]), (12, 5)]))
    says = "names images of class 12; the classes of digits are 0 to 9: leave others out"
    with pytest.raises(Mistake, match=says):
        first_images(real, 2, config=strange, seed=0)
    wrong = Config(start=of_file(tmp_path, [(3, own[0]), (3, own[1] + 1)]))
    with pytest.raises(Mistake, match=f"names image {own[1] + 1}, which is no training image of"):
        first_images(real, 2, config=wrong, seed=0)


def test_a_run_that_goes_on_needs_no_first_images(digits, monkeypatch):
    """A selection looks at all images: that is done once."""
    state = State(3, *(torch.full((1, 2, 1, 8, 8), value) for value in (0.5, 0.0, 0.0)))
    monkeypatch.setattr(learning, "first_images", None)
    images = run(digits.train.only([2]), Pull(), checkpoints=Checkpoints(state=state))
    assert torch.equal(images, digits.train.normalisation.inverse(state.images))


@pytest.mark.parametrize("start", ["real", "noise", "herding", "kcenter"])
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
