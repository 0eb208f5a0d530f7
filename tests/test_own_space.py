"""A user's own space: the example's file, from its choices to a ranking; files that are none."""

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nni.nas.space import model_context

from benchmarks.nas.__main__ import main
from benchmarks.record import read
from distill import datasets
from distill.runtime.compute import CPU
from distill.runtime.mistake import Mistake
from distill.runtime.seeding import generator
from distill.training.recipes import Recipe
from downstream.nas import engine, own, proxy, source, trial
from downstream.nas.source import SpaceFile

from conftest import write_tree

EXAMPLE = Path(__file__).parent.parent / "examples" / "search_space.py"
HEAD = """\
import torch, nni
from torch import nn
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
"""
TINY = """
class Tiny(ModelSpace):
    def __init__(self):
        super().__init__()
        act = {"relu": nn.ReLU(), "tanh": nn.Tanh()}
        self.body = nn.Sequential(nn.Flatten(), LayerChoice(act, label="act"), nn.Linear(64, 10))
    def forward(self, x):
        return self.body(x)
"""


@pytest.fixture(scope="module")
def space():
    return own.Own(source.read(EXAMPLE), (1, 8, 8), 10)


def of(text, shape=(1, 8, 8), classes=10):
    return own.Own(SpaceFile("mine.py", HEAD + text), shape, classes)


def test_the_axes_are_the_mutables_and_each_network_has_a_name_that_leads_back(space):
    assert space.axes == {
        "conv": ("full", "depthwise"),
        "norm": ("none", "batch"),
        "pool": ("avg", "max"),
        "width": ("8", "16", "32"),
    }
    specs = space.sample(24)
    assert space.total == len(set(specs)) == len({str(spec) for spec in specs}) == 24
    assert "conv=full,norm=batch,pool=avg,width=8" in map(str, specs)
    for spec in specs:
        assert space.parse(str(spec)) == space.spec(space.point(spec)) == spec
    assert space.sample(7) == specs[:7]
    assert re.fullmatch("search_space@[0-9a-f]{6}", space.name)


def test_size_is_of_the_network_chosen(space):
    parameters, flops = space.size(space.parse("conv=full,norm=none,pool=max,width=8"))
    assert parameters == (9 * 8 + 8) + (9 * 8 * 8 + 8) + (8 * 10 + 10)
    assert flops == 2 * (64 * 9 * 8 + 16 * 9 * 8 * 8 + 8 * 10)


def test_weights_follow_the_seed_alone_and_leave_torchs_own_generator(space):
    spec, before = space.sample(1)[0], torch.get_rng_state()
    weights = []
    for seed in (1, 1, 2):
        network = space.build(spec)
        trial.draw(network, generator(seed))
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
        torch.randn(3, generator=generator(7))
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_drawn_by_numpy_and_python_follow_the_seed_too():
    draws = "self.own = random.random(), np.random.rand()\n        self.body ="
    drawing = of("import random, numpy as np\n" + TINY.replace("self.body =", draws))
    spec, before = drawing.sample(1)[0], (random.getstate(), np.random.get_state()[1].tolist())
    first, again, other = (drawing.module(spec, seed=seed).own for seed in (1, 1, 2))
    assert first == again and not set(first) & set(other)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_dropout_follows_the_seed_alone():
    """So that neither earlier trials nor the number of processes matter."""
    dropping = of(TINY.replace("nn.Linear(64", "nn.Dropout(0.5), nn.Linear(64"))
    data = datasets.load("digits")
    settings = proxy.whole_settings(
        data,
        dataset="digits",
        image_size=None,
        root=Path("nowhere"),
        recipe=Recipe(epochs=1, batch=64),
        compute=CPU,
        space=dropping,
    )
    job, spec = trial.job(settings, data, None), dropping.sample(1)[0]
    drawn = []
    for _ in range(2):
        torch.randn(7)
        network = dropping.build(spec)
        assert trial.evaluate(network, job)["status"] == "trained"
        drawn.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(*drawn)


def test_nni_builds_a_network_while_a_sample_of_its_own_is_in_hand(space):
    """As in a trial's own process, which has executed nothing of the file yet."""
    spec = space.sample(3)[-1]
    own._options.cache_clear()
    source.model_space.cache_clear()
    with model_context(space.point(spec)):
        network = engine.Points(space.symbol(), [1, 8, 8], 10)
    assert network.spec == spec
    trial.draw(network, generator(0))
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_a_large_space_is_drawn_from_without_a_list_of_it():
    more = [f"self.add_mutable(nni.choice('c{n}', [1, 2, 3]))" for n in range(40)]
    text = TINY.replace("super().__init__()", "; ".join(["super().__init__()", *more]))
    large = of(text)
    assert large.total == 2 * 3**40
    assert len(set(large.sample(20))) == 20 and large.sample(5) == large.sample(20)[:5]


def test_options_without_a_short_text_are_told_by_their_places():
    more = "super().__init__(); self.add_mutable(nni.choice('k', [(1, 2), (3, 4)]))"
    text = TINY.replace("super().__init__()", more)
    assert of(text).axes == {"act": ("relu", "tanh"), "k": ("option0", "option1")}


# ------------------------------------------------------------------ end to end


def pets(folder):
    root = write_tree(folder / "pets", ("cat", "dog", "eel"), count=4)
    return ["--dataset", "folder", "--data-root", str(root), "--image-size", "8"]


def test_a_space_of_ones_own_is_ranked_on_ones_own_images(tmp_path, capsys):
    args = [*pets(tmp_path), "--space", str(EXAMPLE), "--networks", "3"]
    of_set = ["--ipc", "1", "--epochs", "2"]
    one, two = tmp_path / "1", tmp_path / "2"
    main(["--proxy", "random", *args, *of_set, "--workers", "1", "--out", str(one)])
    (two / "trials").mkdir(parents=True)
    for ledger in (one / "trials").glob("*-whole-*.jsonl"):  # the truth need not be made twice
        shutil.copy(ledger, two / "trials")
    main(["--proxy", "random", *args, *of_set, "--workers", "2", "--out", str(two)])
    (here,), (both,) = read([one / "records"]), read([two / "records"])
    assert here.results.scores == both.results.scores and None not in here.results.scores
    assert here.results.truth == both.results.truth and len(set(here.results.truth)) > 1
    assert here.results.names == [
        str(s) for s in own.Own(source.read(EXAMPLE), (3, 8, 8), 3).sample(3)
    ]
    assert here.protocol.space.startswith("search_space@") and here.protocol.networks == 3
    assert here.protocol.truth["space"] == ["search_space.py", source.read(EXAMPLE).digest]
    printed = capsys.readouterr().out
    assert "conv=" in printed and "search_space@" in printed
    main(["--proxy", "jacob_cov", *args, "--out", str(tmp_path / "1")])
    said = capsys.readouterr().err
    assert "3 are done already" in said and "3 networks to score, none is trained" in said


def test_another_text_of_the_file_is_another_space(tmp_path):
    first, second = of(TINY), of(TINY + "\n# changed\n")
    assert first.name != second.name and first.source.digest != second.source.digest


# ------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "must hold one class derived from .*ModelSpace and holds none"),
        (TINY + TINY.replace("Tiny", "Other"), r"holds several \(Tiny, Other\)"),
        ("\n1 / 0\n", r"mine.py line 5: cannot be imported \(ZeroDivisionError"),
        ("def f(:\n", r"line 4: cannot be imported \(SyntaxError"),
        ("import nothing_like_it", r"line 4: cannot .*No module named 'nothing_like_it'"),
        ("raise SystemExit(3)", r"line 4: cannot be imported \(SystemExit: 3"),
        (TINY.replace("__init__(self)", "__init__(self, a, b, c)"), r"cannot be constructed.*'c'"),
        (TINY.replace("act, label", "1 / 0, label"), "line 9: cannot be constructed for images of"),
        (TINY.replace('LayerChoice(act, label="act")', "nn.ReLU()"), "offers no choice"),
        (TINY.replace("act = {", 'self.add_mutable(nni.uniform("lr", 0, 1)); act = {'),
         "'lr' is a Numerical; only choices of one option"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_space_is_refused_in_one_line(text, says):
    with pytest.raises(Mistake, match=says) as refusal:
        assert of(text).axes
    assert "\n" not in str(refusal.value) and "mine.py" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TINY.replace("64, 10", "64, 7"), r"makes \(2, 7\) of 2 images, not \(2, 10\)"),
        (TINY.replace("64, 10", "9, 10"), r"line 11: act=\w+ cannot be built for images of 1x8x8"),
        (TINY.replace("nn.Linear(64", "nn.LazyLinear(").replace("(, ", "("), "lazy layers"),
        (TINY.replace("self.body(x)", "self.body(x).detach()"), "cannot be trained"),
        (TINY.replace("self.body(x)", "[x]"), "makes list of 2 images"),
    ],
)
def test_a_network_that_does_not_fit_the_images_is_refused_in_one_line(text, says):
    space = of(text)
    with pytest.raises(Mistake, match=says):
        space.size(space.sample(1)[0])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--space", "none.py"], "--space none.py: No such file or directory; give a Python file"),
        (["--space", "{example}", "--networks", "25"], "--networks 25: give a number from 2 to 24"),
        (["--space", "{example}", "--strategy", "tpe", "--trials", "25"], "from 2 to 24"),
        (["--space", "{text}"], "--space mine.py: act=.* makes .2, 10. of 2 images, not .2, 3."),
    ],
)
def test_a_wrong_command_gets_one_line_before_anything_is_trained(args, says, fails, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + TINY.replace("64", "192"))
    args = [part.format(example=EXAMPLE, text=path) for part in args]
    error = fails(main, [*pets(tmp_path), "--ipc", "1", *args, "--out", str(tmp_path / "runs")])
    assert re.search(says, error), error
    assert not list((tmp_path / "runs").glob("trials/*"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--networks", "all"], "1572864 networks are too many to try; give --networks N, at most"),
        (["--strategy", "tpe", "--trials", "100001"], "100001 networks are too many .* --trials N"),
    ],
)
def test_more_networks_than_can_be_listed_are_refused(args, says, fails, tmp_path):
    path = tmp_path / "mine.py"
    more = [
        "super().__init__()",
        "[self.add_mutable(nni.choice(f'c{n}', [1, 2, 3])) for n in (0,)]",
    ]
    more += ["[self.add_mutable(nni.choice(f'd{n}', [1, 2])) for n in range(18)]"]
    path.write_text(HEAD + TINY.replace("super().__init__()", "; ".join(more)))
    error = fails(main, [*args, "--space", str(path), "--out", str(tmp_path / "runs")])
    assert re.search(says, error), error


def test_scores_of_which_none_is_a_number_are_no_ranking(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + TINY.replace("self.body(x)", "self.body(0 * x)"))
    args = ["--space", str(path), "--proxy", "jacob_cov", "--out", str(tmp_path / "runs")]
    with pytest.raises(Mistake, match="no trial succeeded .its score is nan."):
        main(args)
    assert not list((tmp_path / "runs").glob("trials/*"))


def test_a_wrong_file_is_refused_before_the_images_are_read(fails, tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe")
    args = ["--dataset", "cifar10", "--data-root", str(tmp_path), "--out", str(tmp_path / "runs")]
    assert "is no text" in fails(main, [*args, "--space", str(path)])
    assert "Not a directory" in fails(main, [*args, "--space", str(path / "x.py")])
