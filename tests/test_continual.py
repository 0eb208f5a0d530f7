"""Class-incremental runs on real Avalanche, at small size."""

import dataclasses
import types

import pytest
import torch

from distill import datasets, plan
from distill.images import Data, Normalisation
from distill.plan import Plan
from distill.runtime import registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import Mistake
from distill.runtime.store import Store
from distill.training import passes, train
from distill.training.recipes import Recipe
from downstream.continual import protocol as protocols
from downstream.continual.data import class_incremental
from downstream.continual.evaluation import Accuracies
from downstream.continual.protocol import Protocol, class_order, step_sizes
from downstream.continual.run import run_order
from downstream.continual.strategies import MixedBatches, fresh_networks

SMALL = Protocol(
    steps=3,
    strategy="retrain",
    network="convnet-d2-w8",
    networks=2,
    recipe=Recipe(epochs=6, operations=()),
    seed=0,
    orders=1,
    sets=1,
)
QUICK = {"network": "convnet-d2-w8", "networks": 3, "real_batch": 20, "iterations": 6}
"""Settings that make a method quick, as far as it has them."""


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").normalised_by(Normalisation.fixed(1))


def quick(method, about, ipc, **changes):
    """A plan of a small set."""
    config = registry.load("distill.methods", method).preset(about, ipc, "laptop")
    fields = {field.name for field in dataclasses.fields(config)}
    settings = {name: value for name, value in QUICK.items() if name in fields}
    return Plan(method, dataclasses.replace(config, **settings, **changes), ipc)


def run(data, method="random", ipc=2, order=1, distill=None, compute=CPU, **changes):
    asked = quick(method, data.train.about, ipc)
    return run_order(
        data,
        distill or (lambda real: plan.distill(asked, real)),
        ipc=ipc,
        protocol=dataclasses.replace(SMALL, **changes),
        order=order,
        compute=compute,
    )


def sets_of_each_step(data, asked, **changes):
    """[(classes, set)] that a run's memory was filled with."""
    sets = []

    def distill(real):
        sets.append((real.present, plan.distill(asked, real)))
        return sets[-1][1]

    run(data, ipc=asked.ipc, distill=distill, networks=1, **changes)
    return sets


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
def test_the_matrix_has_a_row_a_step_and_all_test_images(digits, strategy, steps):
    recipe = Recipe(epochs=1)
    sizes, matrices = run(digits, strategy=strategy, steps=steps, recipe=recipe)
    assert sum(sizes) == len(digits.test) and len(sizes) == steps and len(matrices) == 2
    for matrix in matrices:
        assert len(matrix) == steps
        for i, row in enumerate(matrix):
            assert all((value is None) is (j > i) for j, value in enumerate(row))
            assert all(0 <= value <= 100 for value in row[: i + 1])


@pytest.mark.parametrize("network", ["convnet-d2-w8", "convnet-d2-w8-batch"])
def test_retraining_is_training_fresh_networks_on_the_memory_alone(digits, network):
    """Avalanche's loop, the schedule and the mini-batches are those of `train.training`."""
    recipe = Recipe(epochs=8, batch=8, operations=digits.train.about.operations)
    protocol = dataclasses.replace(SMALL, recipe=recipe, network=network)
    _, matrices = run(digits, recipe=recipe, network=network)

    device = torch.device("cpu")
    networks = fresh_networks(digits.train, protocol, order=1, step=2, device=device).networks
    memory = plan.distill(quick("random", digits.train.about, 2), digits.train)
    steps = torch.tensor(class_order(1, 10)).split(step_sizes(10, 3))
    kept = torch.cat([(memory.labels == c).nonzero()[:, 0] for s in steps for c in s.sort().values])
    images, labels = digits.train.normalisation(memory.images[kept]), memory.labels[kept]
    for _ in train.training(
        networks, images, labels, recipe=recipe, generators=train.streams(0, 2, 1, 2)
    ):
        pass
    for j, classes in enumerate(steps):
        test = digits.test.only(classes.tolist())
        plain = 100 * train.accuracy(networks, test.normalisation(test.images), test.labels)
        assert [matrix[2][j] for matrix in matrices] == pytest.approx(plain.tolist(), abs=0.01)


@pytest.mark.parametrize("step", [0, 1])
def test_to_answer_a_class_that_is_not_seen_yet_is_wrong(digits, step):
    """A network has an output for every class of the dataset, from the first step on."""
    stream = class_incremental(digits, steps=10, order=1).test_stream
    (answered,) = stream[step].classes_in_this_experience
    network = fresh_networks(
        digits.train, SMALL, order=1, step=0, device=torch.device("cpu")
    ).networks[0]
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.arange(10) == answered)
    accuracies = Accuracies(digits.test, CPU)
    model = types.SimpleNamespace(networks=[network])
    accuracies.before_eval(types.SimpleNamespace(model=model, current_eval_stream=stream[:1]))
    assert accuracies.right.unique().tolist() == [step == 0]


def test_the_same_seed_gives_the_same_figures(digits):
    assert run(digits) == run(digits)
    assert run(digits) != run(digits, seed=1)


@pytest.mark.parametrize(
    ("method", "strategy"),
    [*((name, "retrain") for name in registry.names("distill.methods")), ("random", "replay")],
)
def test_distilling_a_step_sees_no_other_step(digits, method, strategy):
    """With every other class's images replaced by noise, a step's set stays what it was."""
    asked = quick(method, digits.train.about, 2)
    settings = {"strategy": strategy, "recipe": Recipe(epochs=0)}
    for step, (classes, plain) in enumerate(sets_of_each_step(digits, asked, **settings)):
        images = digits.train.images.clone()
        others = ~torch.isin(digits.train.labels, torch.tensor(classes))
        stream = torch.Generator().manual_seed(step)
        noise = torch.randint(0, 256, images[others].shape, generator=stream)
        images[others] = noise.to(torch.uint8)
        noisy = Data(dataclasses.replace(digits.train, images=images), digits.test)
        again = sets_of_each_step(noisy, asked, **settings)[step]
        assert again[0] == classes and torch.equal(again[1].images, plain.images)


def test_a_fitted_normalisation_is_refused_in_one_line():
    fitted = datasets.load("digits")
    with pytest.raises(Mistake, match=r"give data.normalised_by\(Normalisation.fixed\(1\)\)$"):
        run(fitted)


def test_replay_mixes_as_many_old_images_as_new_ones():
    images, labels = torch.zeros(25, 1, 8, 8), torch.arange(25)
    batches = MixedBatches(
        images,
        labels,
        memory=5,
        recipe=Recipe(batch=8, operations=()),
        generators=train.streams(0, 2),
    )
    served = [y for _, y in batches]
    assert len(served) == len(batches) == 3
    assert [y.shape for y in served] == [(2, 16), (2, 16), (2, 8)]
    new = torch.cat([y[:, : y.shape[1] // 2] for y in served], 1)
    old = torch.cat([y[:, y.shape[1] // 2 :] for y in served], 1)
    assert new.sort(1).values.tolist() == [list(range(20))] * 2 and old.min() >= 20


def test_a_replayed_memory_keeps_what_would_be_forgotten(digits):
    recipe = Recipe(epochs=12, batch=32, drop=1.0, operations=())
    settings = {"strategy": "replay", "recipe": recipe, "networks": 1, "steps": 5}
    few, many = (run(digits, ipc=ipc, **settings) for ipc in (1, 30))
    assert many.matrices[0][4][0] > few.matrices[0][4][0] + 20


def test_a_batch_norm_set_belongs_to_its_step_and_others_to_their_class(digits):
    """Batch norm couples a step's classes; with instance norm a class is the same in any step."""
    for norm, alike in (("batch", False), ("instance", True)):
        network = f"convnet-d2-w8-{norm}"
        asked = quick("datadam", digits.train.about, 2)
        asked = dataclasses.replace(
            asked, config=dataclasses.replace(asked.config, network=network)
        )
        for classes, together in sets_of_each_step(digits, asked, network=network):
            alone = plan.distill(asked, digits.train.only(classes[:1]))
            first = together.only(classes[:1])
            assert torch.allclose(first.images, alone.images, atol=1e-4) is alike


def test_two_orders_with_batch_norm_can_share_a_store(digits, tmp_path):
    """Steps of other classes are not served one another's images."""
    asked = quick("datadam", digits.train.about, 1)
    config = dataclasses.replace(asked.config, network="convnet-d2-w8-batch")
    asked, store = dataclasses.replace(asked, config=config), Store(tmp_path)
    for order in (0, 1):
        stored = run(
            digits, ipc=1, order=order, distill=lambda r: plan.distill(asked, r, store=store)
        )
        assert stored == run(digits, ipc=1, order=order, distill=lambda r: plan.distill(asked, r))


def enlarged(half, times):
    """The same images with every pixel repeated, too large to be stacked."""
    about = half.about
    shape = (about.shape[0], *(side * times for side in about.shape[1:]))
    images = half.images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return dataclasses.replace(half, about=dataclasses.replace(about, shape=shape), images=images)


def test_fresh_networks_are_compiled_where_their_training_is_long_enough(digits, monkeypatch):
    """As those are that `benchmarks.classification` trains."""
    seen, data = [], Data(*(enlarged(half, 3) for half in digits))
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: counting(function))

    def counting(function):
        return lambda *given: seen.append(1) or function(*given)

    low = Compute(precision="bfloat16")

    def uses(compute):
        seen.clear()
        run(data, compute=compute, networks=1)
        return len(seen)

    assert uses(low) == 0  # too short
    monkeypatch.setattr(passes, "WORTH_COMPILING", 4e7)
    tried, trained = 1, SMALL.recipe.epochs  # a mini-batch an epoch, in one piece
    assert uses(low) == 2 * (tried + trained)  # the memory of the first of three steps is small
    assert uses(CPU) == 0  # float32
    assert uses(dataclasses.replace(low, compile="never")) == 0


def test_the_benchmark_keeps_no_copy_of_the_images(digits):
    """What is read follows the uint8 images in memory, so it was neither copied nor made floats."""
    data = Data(*(dataclasses.replace(half, images=half.images.clone()) for half in digits))
    benchmark = class_incremental(data, steps=5, order=1)
    for half, stream in zip(data, (benchmark.train_stream, benchmark.test_stream), strict=True):
        for value, shown in ((255, 2.0), (0, -2.0)):
            half.images.fill_(value)
            for experience in stream:
                image, label, _ = experience.dataset[0]
                assert image.dtype == torch.float32 and bool((image == shown).all())
                assert int(label) in experience.classes_in_this_experience


def test_paper_is_the_published_protocol():
    about = datasets.about("cifar100")
    paper = protocols.preset("paper", about, steps=5, strategy="retrain", seed=0)
    assert paper.recipe == Recipe() and paper.recipe.epochs == 1000
    assert paper.network == "convnet-d3-w128-instance-relu-avg"
    assert (paper.networks, paper.orders, paper.sets) == (3, 5, 5)


def test_the_presets_read_the_facts_of_a_dataset():
    def preset(about, **changes):
        return protocols.preset("laptop", about, steps=5, strategy="replay", seed=0, **changes)

    digits, cifar = datasets.about("digits"), datasets.about("cifar10")
    assert "flip" not in preset(digits).recipe.operations
    assert "flip" in preset(cifar).recipe.operations
    assert preset(digits).sets == 5 and preset(cifar).sets == 3
    assert preset(cifar, orders=2).sets == 2
    assert preset(digits).networks == 3 and preset(cifar).networks == 1
    assert preset(digits, networks=1).networks == 1
    assert "-d4-" in preset(datasets.about("folder", size=64)).network


def test_order_o_has_set_o_mod_sets():
    protocol = dataclasses.replace(SMALL, orders=5, sets=2)
    assert [protocol.set_number(order) for order in range(5)] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "papr"}, "unknown preset 'papr'"),
        ({"strategy": "retrian"}, "unknown strategy 'retrian'.*mean retrain"),
        ({"orders": 0}, "--orders 0 is no run"),
        ({"networks": 0}, "--networks 0 is no run"),
        ({"sets": 0}, "--sets 0 cannot be spread.*give 1 to 3"),
        ({"sets": 4}, "--sets 4 cannot be spread over the 3 orders.*give 1 to 3"),
    ],
)
def test_a_protocol_that_cannot_be_run_is_refused(wrong, message):
    given = {"name": "paper", "strategy": "replay", "orders": 3, "steps": 5, "seed": 0, **wrong}
    with pytest.raises(Mistake, match=message):
        protocols.preset(given.pop("name"), datasets.about("digits"), **given)
