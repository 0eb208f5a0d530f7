"""The harness on real Avalanche, at small size."""

import dataclasses

import pytest
import torch

from distill import train
from distill.images import Data
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.train import Recipe
from downstream import continual
from downstream import protocol as protocols
from downstream.continual.protocol import Protocol, class_order, step_sizes

from conftest import CPU

SMALL = Protocol(
    steps=3,
    orders=1,
    strategy="retrain",
    networks=2,
    network="convnet-d2-w8",
    recipe=Recipe(epochs=6),
    seed=0,
)


def run(data, distil, method="random", ipc=2, order=1, **changes):
    protocol = dataclasses.replace(SMALL, **changes)
    return continual.run_order(
        data,
        lambda real: distil(method, real, ipc),
        ipc=ipc,
        protocol=protocol,
        order=order,
        device=CPU,
        progress=Progress(),
    )


def test_class_orders_are_the_published_ones():
    assert class_order(0, 10) == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]
    assert sorted(class_order(4, 100)) == list(range(100))


def test_any_number_of_steps_covers_every_class():
    assert step_sizes(10, 3) == [4, 3, 3] and step_sizes(10, 10) == [1] * 10
    for steps in (0, 11):
        with pytest.raises(Mistake, match=f"--steps {steps} cannot be had with 10 classes"):
            step_sizes(10, steps)


@pytest.mark.parametrize("strategy", ["retrain", "replay"])
@pytest.mark.parametrize("steps", [3, 10])
def test_the_matrix_has_a_row_a_step_and_all_test_images(digits, distil, strategy, steps):
    recipe = Recipe(epochs=1)
    sizes, matrices = run(digits, distil, strategy=strategy, steps=steps, recipe=recipe)
    assert sum(sizes) == len(digits.test) and len(sizes) == steps and len(matrices) == 2
    for matrix in matrices:
        assert len(matrix) == steps
        for i, row in enumerate(matrix):
            assert all((value is None) is (j > i) for j, value in enumerate(row))
            assert all(0 <= value <= 100 for value in row[: i + 1])


def test_retraining_in_one_step_is_plain_training(digits, distil):
    """Avalanche's loop, the schedule and the mini-batches are those of `train.fit`."""
    recipe = Recipe(epochs=8, batch=8)
    sizes, matrices = run(digits, distil, steps=1, order=0, recipe=recipe)
    made = distil("random", digits.train, 2)
    protocol = dataclasses.replace(SMALL, steps=1, recipe=recipe)
    stack = continual.fresh_networks(digits.train, protocol, 0, 0, CPU)
    batches = train.Batches(
        digits.train.normalisation(made.images),
        made.labels,
        recipe=recipe,
        generators=train.streams(0, 2, 0, 0),
    )
    optimiser = recipe.optimiser(stack)
    for epoch in range(8):
        train.set_rate(optimiser, recipe.rate_at(epoch))
        for x, y in batches:
            optimiser.zero_grad()
            train.cross_entropy(stack(x), y).backward()
            optimiser.step()
    test = digits.test.normalisation(digits.test.images)
    plain = 100 * train.accuracy(stack.networks, test, digits.test.labels)
    assert [m[0][0] for m in matrices] == pytest.approx(plain.tolist(), abs=0.01)


def test_the_same_seed_gives_the_same_figures(digits, distil):
    assert run(digits, distil) == run(digits, distil)
    assert run(digits, distil) != run(digits, distil, seed=1)


def test_every_step_begins_with_fresh_networks(digits, distil, monkeypatch):
    seen = []
    original = continual.fresh_networks

    def watching(*args):
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(continual, "fresh_networks", watching)
    run(digits, distil, recipe=Recipe(epochs=0))
    first = [stack.networks[0].head.weight for stack in seen[1:]]
    assert len(first) == 3
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[1], first[2])


@pytest.mark.parametrize("method", ["random", "herding", "dm", "datadam"])
@pytest.mark.parametrize("strategy", ["retrain", "replay"])
def test_distilling_a_step_sees_no_other_step(digits, distil, method, strategy):
    """With every other class's images replaced by noise, a step's set stays what it was."""

    def sets(data):
        made = []

        def spy(method, real, ipc):
            made.append((real.present, distil(method, real, ipc)))
            return made[-1][1]

        run(data, spy, method, strategy=strategy, networks=1, recipe=Recipe(epochs=0))
        return made

    plain = sets(digits)
    for step, (classes, made) in enumerate(plain):
        noisy = dataclasses.replace(digits.train, images=digits.train.images.clone())
        others = ~torch.isin(noisy.labels, torch.tensor(classes))
        noisy.images[others] = torch.randint(0, 255, noisy.images[others].shape).to(torch.uint8)
        again = sets(Data(noisy, digits.test))[step]
        assert again[0] == classes and torch.equal(again[1].images, made.images)


def test_a_fitted_normalisation_is_refused(digits, distil):
    fitted = dataclasses.replace(digits.train.normalisation, source="fitted on all classes")
    data = Data(*(half.normalised_by(fitted) for half in digits))
    with pytest.raises(AssertionError, match="would see other steps"):
        run(data, distil)


def test_retraining_sees_nothing_but_the_memory(digits, distil, monkeypatch):
    served = []
    original = train.Batches.__init__

    def watching(self, images, labels, **kwargs):
        served.append(labels.tolist())
        original(self, images, labels, **kwargs)

    monkeypatch.setattr(train.Batches, "__init__", watching)
    run(digits, distil, ipc=2, recipe=Recipe(epochs=1))
    assert [len(labels) for labels in served] == [8, 14, 20]


def test_replay_mixes_as_many_old_images_as_new_ones(digits):
    images, labels = torch.zeros(25, 1, 8, 8), torch.arange(25)
    batches = continual.MixedBatches(
        images,
        labels,
        memory=5,
        recipe=Recipe(batch=8, augmented=False),
        generators=train.streams(0, 2),
    )
    found = [y for _, y in batches]
    assert len(found) == len(batches) == 3
    assert [y.shape for y in found] == [(2, 16), (2, 16), (2, 8)]
    new = torch.cat([y[:, : y.shape[1] // 2] for y in found], 1)
    old = torch.cat([y[:, y.shape[1] // 2 :] for y in found], 1)
    assert new.sort(1).values.tolist() == [list(range(20))] * 2 and old.min() >= 20


def test_a_replayed_memory_keeps_what_would_be_forgotten(digits, distil):
    recipe = Recipe(epochs=12, batch=32, drop=1.0)
    settings = {"strategy": "replay", "recipe": recipe, "networks": 1, "steps": 5}
    few, many = (run(digits, distil, ipc=ipc, **settings) for ipc in (1, 30))
    assert many.matrices[0][4][0] > few.matrices[0][4][0] + 20


def test_the_presets_hold_the_published_protocol():
    paper = protocols.preset(
        "paper", dataset="cifar100", steps=5, orders=5, strategy="retrain", seed=0
    )
    assert paper.networks == 3 and paper.recipe == Recipe(epochs=1000)
    assert paper.network == "convnet-d3-w128-instance-relu-avg"
    for wrong in ({"name": "papr"}, {"strategy": "retrian"}, {"orders": 0}):
        given = {"name": "paper", "strategy": "replay", "orders": 1, **wrong}
        with pytest.raises(Mistake):
            protocols.preset(given.pop("name"), dataset="digits", steps=5, seed=0, **given)
