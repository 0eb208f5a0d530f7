"""Forgetting: the images that a network in training forgets most often, against plain counting."""

import io
import json

import pytest
import torch
from test_bank import Broken, Counted

from distill.checkpoints import NONE, Checkpoints
from distill.methods import forgetting
from distill.methods.forgetting import Config, events
from distill.runtime.compute import CPU
from distill.runtime.mistake import Mistake
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.runtime.store import Store

SMALL = Config(network="convnet-d2-w8", passes=5)


def right(real, config=SMALL, seed=0, progress=None, store=None):
    return forgetting.correctness(
        real,
        config=config,
        seed=seed,
        compute=CPU,
        progress=progress or Progress(),
        checkpoints=Checkpoints(store) if store else NONE,
    )


def counted_plainly(right):
    """Image by image and pass by pass, as the paper's algorithm 1 has it; None: never learned."""
    counts = []
    for image in range(right.shape[1]):
        before, forgotten, learned = False, 0, False
        for correct in right[:, image].tolist():
            if before and not correct:
                forgotten += 1
            before, learned = correct, learned or correct
        counts.append(forgotten if learned else None)
    return counts


@pytest.mark.parametrize("passes", [1, 2, 7])
def test_events_are_those_of_plain_counting(passes):
    table = torch.rand(passes, 200, generator=generator(passes)) < 0.4
    plain = counted_plainly(table)
    most = max(count for count in plain if count is not None)
    for count, own in zip(events(table, never_learned="first").tolist(), plain, strict=True):
        assert count == own if own is not None else count > most
    assert events(table, never_learned="last").tolist() == [count or 0 for count in plain]


@pytest.mark.parametrize(("never_learned", "events_of_those"), [("first", 6), ("last", 0)])
def test_the_images_chosen_are_those_forgotten_most_and_equals_are_drawn(
    digits, make, never_learned, events_of_those
):
    real = digits.train.only([2, 8])
    for seed in (0, 1):
        table = right(real, seed=seed)
        assert table.shape == (5, len(real)) and 0.5 < table.float().mean() < 1
        plain = counted_plainly(table)
        assert None in plain
        ranks = torch.tensor([events_of_those if count is None else count for count in plain])
        said = io.StringIO()
        given = {"seed": seed, "passes": 5, "never_learned": never_learned}
        small = make("forgetting", real, 7, progress=Progress(said), **given)
        counts = [int((~table[:, real.labels == label].any(0)).sum()) for label in (2, 8)]
        assert min(counts) < 7 <= max(counts)
        note = "in 1 of 2 classes the images are drawn by lot from those that were never right, "
        note += f"{max(counts)} to {max(counts)} a class"
        assert said.getvalue().count(note) == (never_learned == "first")
        assert said.getvalue().count("never right") == (never_learned == "first")
        make("forgetting", real, max(counts) + 1, progress=Progress(said), **given)
        assert said.getvalue().count("never right") == (never_learned == "first")
        for label in (2, 8):
            own = ranks[real.labels == label]
            pixels = real.of_class(label).float() / 255
            chosen = [
                int((pixels == image).flatten(1).all(1).nonzero()[0])
                for image in small.images[small.labels == label]
            ]
            assert own[chosen].tolist() == own.sort(descending=True).values[:7].tolist()
    equal = make("forgetting", real, 3, passes=1), make("forgetting", real, 3, seed=1, passes=1)
    assert not torch.equal(*(small.images for small in equal))


def test_a_count_broken_off_goes_on_and_serves_sets_of_any_size(digits, make, tmp_path):
    real, store = digits.train.only([2, 8]), Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        make("forgetting", real, 2, passes=5, store=store, progress=Broken(3))
    steps = {}
    for ipc, passes in ((2, 5), (4, 5), (2, 7), (2, 3)):
        counted = Counted()
        small = make("forgetting", real, ipc, passes=passes, store=store, progress=counted)
        assert torch.equal(small.images, make("forgetting", real, ipc, passes=passes).images)
        steps[ipc, passes] = counted.made
    assert steps == {(2, 5): 3, (4, 5): 0, (2, 7): 2, (2, 3): 0}
    assert len(list(tmp_path.glob("*-right-*"))) == 1


def test_what_is_no_count_of_these_images_is_set_aside(digits, tmp_path):
    real, said = digits.train.only([2, 8]), io.StringIO()
    store = Store(tmp_path, Progress(said).say)
    whole = right(real, store=store)
    (path,) = tmp_path.iterdir()
    name = path.name.rpartition("-")[0]
    facts = json.loads(json.dumps(store_facts(path)))
    tensors, about = store.get(name, forgetting.KIND, facts, of=lambda *piece: piece)
    for spoiled in (
        tensors | {"right": tensors["right"][:, 1:].clone()},
        tensors | {"head.bias": tensors["head.bias"][:3].clone()},
        {name: tensor for name, tensor in tensors.items() if name != "right"},
    ):
        store.put(name, forgetting.KIND, facts, spoiled, about)
        assert torch.equal(right(real, store=store), whole)
    assert said.getvalue().count("set aside") == 3


def store_facts(path):
    from distill.runtime import store

    return store.read(path)[1]["identity"]


def test_settings_that_cannot_be_are_refused():
    for settings in ({"passes": 0}, {"network": "convnt"}, {"never_learned": "frist"}):
        with pytest.raises(Mistake):
            Config(**settings)
