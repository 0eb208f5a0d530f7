"""Networks trained on real images: kept, found again, gone on with, and blind to other classes."""

import dataclasses
import functools
import json
import threading
import time

import pytest
import torch
import torch.nn.functional as F

from distill import checkpoints, pattern
from distill.augment import augment, draw
from distill.checkpoints import NONE, Checkpoints
from distill.drawing import Seen
from distill.images import About, Data, ImageSet, Normalisation
from distill.methods import datadam
from distill.networks import build, parse
from distill.objectives import bank, matching
from distill.objectives.bank import Bank
from distill.plan import Plan
from distill.runtime import locks, registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.runtime.store import Store
from distill.sets import disk
from distill.sets.beforehand import SetSource
from distill.training import stretches
from distill.training.recipes import Recipe
from distill.training.train import Diverged, accuracy
from distill.whitening import whitened

from conftest import SMALL as SMALL_SETS

NAME = "convnet-d2-w8-instance-relu-avg"
TRAINED = {"trained": 1.0, "bank": 2, "iterations": 2}


class Broken(Progress):
    """A run that is killed after so many steps of networks."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def advance(self, steps=1, note=""):
        super().advance(steps, note)
        if "real images" in self.stage and self.done >= self.steps:
            raise KeyboardInterrupt


class Counted(Progress):
    """Counts the steps of networks that were really made."""

    made = 0

    def advance(self, steps=1, note=""):
        super().advance(steps, note)
        self.made += steps == 1 and "real images" in self.stage


def of(real, name=NAME, networks=2, passes=4.0, seed=0, compute=CPU, initialisation="uniform"):
    return Bank(real, pattern.parse(name), initialisation, networks, passes, seed, compute)


def same(one, other):
    pairs = [pair for states in zip(one, other, strict=True) for pair in zip(*states, strict=True)]
    return all(torch.equal(*pair) for pair in pairs)


@pytest.fixture(scope="module")
def few(digits) -> ImageSet:
    return digits.train.only([1, 4])


def test_a_bank_holds_every_network_at_every_point_and_learns_on_the_way(digits):
    real = digits.train
    whole = of(real, passes=8.0)
    states = whole.weights(Progress(), NONE)
    assert len(states) == 2 * bank.POINTS and whole.steps == 2 * 19  # batches of 64
    network = build(parse(NAME), real.shape, classes=10, generator=generator(0))
    right = []
    for state in states:
        torch.nn.utils.vector_to_parameters(torch.cat([w.flatten() for w in state]),
                                            network.parameters())  # fmt: skip
        pixels = real.normalisation(real.images)
        right.append(float(accuracy([network], pixels, real.labels)))
    assert right[0] < right[6] and right[1] < right[7] and min(right[6:]) > 0.5
    assert same(states, of(real, passes=8.0).weights(Progress(), NONE))


def test_a_stretch_is_plain_training(few):
    """SGD with momentum on the cross-entropy, step by step as torch has it."""
    whole = of(few, networks=1, passes=4.0)
    stream = generator(0, "bank", 0, "from", 0)
    network = build(parse(NAME), few.shape, classes=10, generator=generator(0, "bank", 0))
    optimiser = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    pixels = few.normalisation(few.images)
    order = torch.randperm(len(few), generator=stream)
    for chosen in order.split(64):
        drawn = draw([stream], few.about.operations, images=len(chosen))
        images = augment(pixels[chosen][None], drawn.to(pixels))[0]
        optimiser.zero_grad()
        F.cross_entropy(network(images), few.labels[chosen]).backward()
        optimiser.step()
    plain = [weight.detach() for weight in network.parameters()]
    first = whole.weights(Progress(), NONE)[0]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(first, plain, strict=True))


@pytest.mark.parametrize("every", [0.0, 60.0], ids=["kept at each point", "once a minute"])
def test_a_bank_broken_off_goes_on_to_the_same_last_bit(few, tmp_path, monkeypatch, every):
    monkeypatch.setattr(checkpoints, "EVERY", every)
    whole, store = of(few), Store(tmp_path)
    steps = whole.steps
    for broken in (2 * steps + 1, 6 * steps + 2):  # in the first network, then in the second
        with pytest.raises(KeyboardInterrupt):
            whole.weights(Broken(broken), Checkpoints(store))
    counted = Counted()
    resumed = whole.weights(counted, Checkpoints(store))
    assert counted.made == 2 * steps
    assert same(resumed, whole.weights(Progress(), NONE))
    again = Counted()
    assert same(resumed, whole.weights(again, Checkpoints(store))) and again.made == 0
    assert again.done == again.total == 8 * steps


def test_what_one_waits_for_another_run_is_not_counted(few, tmp_path):
    whole, store = of(few, networks=1), Store(tmp_path)
    whole.weights(Progress(), Checkpoints(store))
    kept = store.get(*whole.place(0), of=functools.partial(stretches._checked, lambda *_: None))
    held, release, progress = threading.Event(), threading.Event(), Progress()
    progress.say = lambda line: threading.Timer(0.5, release.set).start()  # that it waits

    def other():
        with locks.held(store.path(*whole.place(0)), lambda: None):
            held.set()
            release.wait()

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    began, asked = time.monotonic(), Checkpoints(store)
    whole.weights(progress, asked)
    spent = asked.spent()[0]
    assert kept.seconds <= spent <= kept.seconds + time.monotonic() - began - 0.5
    thread.join()


def test_a_training_that_diverges_is_named_with_its_step(few, monkeypatch):
    monkeypatch.setattr(bank, "recipe", lambda about: Recipe(batch=64, drop=1.0, rate=1e30))
    with pytest.raises(Diverged, match=r"at step 2 \(epoch 1 of 4, rate 1e\+30\)"):
        of(few, networks=1).weights(Progress(), NONE)


def test_a_damaged_network_is_set_aside_and_trained_again(few, tmp_path):
    said: list[str] = []
    whole, store = of(few), Store(tmp_path, said.append)
    states = whole.weights(Progress(), Checkpoints(store))
    path = store.path(*whole.place(1))
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    counted = Counted()
    assert same(states, whole.weights(counted, Checkpoints(store)))
    assert counted.made == 4 * whole.steps and len(said) == 1 and "set aside" in said[0]


@pytest.mark.parametrize("spoil", [
    lambda weights: {**weights, "head.bias": weights["head.bias"][:2]},
    lambda weights: {**weights, "head.bias": weights["head.bias"].double()},
    lambda weights: {**weights, "head.bias": weights["head.bias"] / 0},
    lambda weights: {name: own for name, own in weights.items() if name != "head.bias"},
])  # fmt: skip
def test_what_is_no_network_of_the_bank_is_set_aside(few, tmp_path, spoil):
    said: list[str] = []
    whole, store = of(few, networks=1), Store(tmp_path, said.append)
    whole.weights(Progress(), Checkpoints(store))
    place = whole.place(0)
    weights, about = store.get(*place, of=lambda tensors, about: (tensors, about))
    store.put(*place, spoil(weights), about)
    counted = Counted()
    whole.weights(counted, Checkpoints(store))
    assert counted.made == 4 * whole.steps and len(said) == 1


def test_all_that_weights_depend_on_makes_another_network(few, digits):
    about = dataclasses.replace(few.about, operations=("crop",))
    places = [
        of(few).place(0),
        of(few).place(1),
        of(few, seed=1).place(0),
        of(few, passes=8.0).place(0),
        of(few, name="convnet-d1-w8").place(0),
        of(few, initialisation="kaiming").place(0),
        of(few, compute=Compute(precision="bfloat16")).place(0),
        of(few, compute=Compute(compile="never")).place(0),
        of(few.normalised_by(Normalisation((0.1,), (0.2,), "fixed"))).place(0),
        of(dataclasses.replace(few, about=about)).place(0),
        of(digits.train.only([1, 5])).place(0),
    ]
    assert len({json.dumps(stretch.facts, default=str) for stretch in places}) == len(places)
    assert of(few, networks=7).place(0) == places[0]  # more of them begin with the same


def test_networks_of_a_pattern_are_each_their_own(few):
    whole = of(few, name="convnet-d{1,2}-w8", networks=3)
    sizes = [len(state) for state in whole.weights(Progress(), NONE)]
    depths = [whole.pattern.draw(0, number).depth for number in range(3)]
    assert sizes == [4 * depth + 2 for depth in depths] * 4 and set(depths) == {1, 2}


def test_sets_of_one_seed_share_their_bank_and_count_what_it_took(few, make, tmp_path):
    store, settings = Store(tmp_path), TRAINED
    first, second = Counted(), Counted()
    one = make("dm", few, 1, store=store, progress=first, **settings)
    two = make("datadam", few, 2, store=store, progress=second, **settings)
    assert first.made == 4 * 2 * of(few, passes=1.0).steps and second.made == 0
    assert torch.equal(two.images, make("datadam", few, 2, **settings).images)
    kept = [stretches._checked(lambda *_: None, *store.get(*of(few, passes=1.0).place(number),
                               of=lambda *piece: piece)) for number in range(2)]  # fmt: skip
    took = sum(piece.core_seconds for piece in kept)
    assert one.made.core_seconds >= took - 0.01 and two.made.core_seconds >= took - 0.01
    other = Counted()
    make("dm", few, 1, seed=1, store=store, progress=other, **settings)
    assert other.made == first.made  # another seed's sets are independent of these


@pytest.mark.parametrize("method", ["dm", "datadam", "trained"])
def test_targets_are_bought_in_the_trained_networks_in_turn(few, make, method):
    """And more of them than there are states come round again, with other draws."""
    config = datadam.Config(network=NAME, networks=10, real_batch=20, **TRAINED)
    statistic = functools.partial(datadam.statistic, config=config)
    matcher = matching.Matching(statistic, few, 2, config=config, seed=0, compute=CPU)
    matcher.prepare(Progress())
    states = of(few, passes=1.0).weights(Progress(), NONE)
    for k in range(10):
        weights = list(matcher.settled(k).network.parameters())
        assert all(torch.equal(a, b) for a, b in zip(weights, states[k % 8], strict=True))
    assert not torch.equal(matcher.bought[0].means[0], matcher.bought[8].means[0])
    short, long = (make(method, few, 2, **TRAINED | more) for more in ({}, {"trained": 4.0}))
    assert not torch.equal(short.images, long.images)


def test_what_has_no_trained_networks_is_refused_in_one_line():
    with pytest.raises(Mistake, match="--method.trained 2: .*give --method.networks above 0"):
        datadam.Config(trained=2)
    for settings in ({"trained": -1.0}, {"bank": 0}):
        with pytest.raises(Mistake, match="--method.(trained|bank)"):
            datadam.Config(networks=1, **settings)
    plain, coupled = datadam.Config(networks=1), datadam.Config(networks=1, trained=0.5)
    assert coupled.couples_classes and not plain.couples_classes


def test_images_are_seen_as_a_network_sees_them():
    """Whitened or not, those of a large set too, which stay bytes."""
    pixels = torch.randint(0, 256, (40, 3, 8, 8), generator=generator(0), dtype=torch.uint8)
    about = About("noise", Normalisation.fixed(3), (3, 8, 8), ("a", "b"))
    plain = ImageSet.sorted(about, pixels, torch.arange(2).repeat(20))
    white = whitened(Data(plain, plain)).train
    for real, kept in ((plain, torch.uint8), (white, torch.float32)):
        seen, wanted = Seen(real, device=torch.device("cpu")), real.normalisation(real.images)
        assert seen.images.dtype == kept and len(seen) == 40
        index = torch.tensor([[3, 1], [2, 39]])
        assert torch.allclose(seen[index], wanted[index], atol=1e-4)
        assert torch.allclose(torch.cat(list(seen.split(7))), wanted, atol=1e-4)


def test_the_room_that_a_run_needs_counts_the_bank_until_it_is_there(few, make, tmp_path):
    store, settings = Store(tmp_path), {**SMALL_SETS["trained"], "bank": 3}
    make("trained", few, 1, store=store, **settings)
    plan = Plan("trained", registry.load("distill.methods", "trained").Config(**settings), 1)
    whole = Bank.of(plan.config, few, seed=0, compute=CPU)
    kept = sum(path.stat().st_size for path in tmp_path.glob("*-networks-*"))
    assert whole.nbytes < kept < whole.nbytes + 3 * disk.A_FILE
    asked = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(disk, "require_space", lambda folder, count, what: asked.append(count))
        for folder in (tmp_path / "empty", tmp_path):
            disk.require(tmp_path, [(plan, few.present)], SetSource(few, CPU, folder))
    assert asked[0] - asked[1] >= kept
