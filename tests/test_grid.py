"""An ablation: the grid of settings as data, and the command that judges each of its points."""

import dataclasses
import re

import pytest

from benchmarks.ablation import __main__ as ablation
from benchmarks.ablation import grid, outlook
from benchmarks.classification import __main__ as classification
from benchmarks.record import read
from distill import plan
from distill.methods import datadam
from distill.runtime.flags import parse
from distill.training import train

QUICK = "--method.iterations 4 --method.networks 2 --method.network convnet-w8".split()
JUDGED = "--sets 2 --networks 2 --network convnet-d2-w8 --epochs 3".split()
BASE = datadam.Config(network="convnet-d2-w8")


def read_as(flags):
    return ablation.configure(BASE, flags, prog="x", command=ablation.Ablation)


def changes(configs):
    """Of every point, what differs from the first."""
    rows = [dataclasses.asdict(config) for config in configs]
    return [{k: v for k, v in row.items() if rows[0][k] != v} for row in rows]


def points(*vary, whole=False):
    return changes(grid.points(BASE, vary, read_as, whole=whole))


def test_one_setting_at_a_time_around_the_preset():
    assert points("power=1,4,8", "every-layer=true,false", "start=noise") == [
        {},
        {"power": 1.0},
        {"power": 8.0},
        {"every_layer": True},
        {"start": "noise"},
    ]


def test_a_whole_grid_and_the_preset_first():
    assert points("power=1,4", "balance=0,0.5", whole=True) == [
        {},
        {"power": 1.0, "balance": 0.0},
        {"power": 1.0, "balance": 0.5},
        {"balance": 0.0},
        {"balance": 0.5},
    ]
    assert points("networks=0,3", "initialisation=kaiming,orthogonal") == [
        {},
        {"networks": 3},
        {"initialisation": "kaiming"},
        {"initialisation": "orthogonal"},
    ]


def test_commas_within_braces_belong_to_a_value():
    assert points("network=convnet-d{1,2}-w8,convnet-w4")[1:] == [
        {"network": "convnet-d{1,2}-w8-instance-relu-avg"},
        {"network": "convnet-d3-w4-instance-relu-avg"},
    ]


def test_words_of_several_flags_are_one_list():
    given = ["--vary", "a=1", "b=2", "--ipc", "2", "--vary=c=3", "--zca", "--vary", "d=4"]
    assert ablation.together(given) == ["--ipc", "2", "--zca", "--vary", *"a=1 b=2 c=3 d=4".split()]
    assert ablation.together(["--ipc", "2", "stray"]) == ["--ipc", "2", "stray"]


@pytest.fixture
def idle(monkeypatch):
    def begun(*given, **also):
        raise AssertionError("it began")

    monkeypatch.setattr(plan, "_made", begun)
    monkeypatch.setattr(train, "training", begun)
    monkeypatch.setattr(ablation, "run", begun)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], r"--vary is missing; name a setting and its values, as in power=1,2,4"),
        (["--vary", "power"], r"--vary power: give a setting and its values"),
        (["--vary", "power=1,,2"], r"--vary power=1,,2: give .* no value left out"),
        (["--vary", "=1"], r"--vary =1: give a setting"),
        (["--vary", "powr=1"], r"unknown setting of --vary 'powr'.*did you mean power"),
        (["--vary", "power=1", "--vary", "power=2"], r"--vary names power twice; give all"),
        (["--vary", "power=two"], r"'two' is not a finite number"),
        (["--vary", "power=-1"], r"--method.power -1.0: give above 0"),
        (["--vary", "every_layer=maybe"], r"--vary every_layer=maybe: give true or false"),
        (["--vary", "initialisation=he"], r"unknown --method.initialisation 'he'; accepted: unif"),
        (["--vary", "start=nowhere"], r"unknown --method.start 'nowhere'"),
        (["--vary", "power=4"], r"--vary power has no other value than it has anyway"),
        (["--method", "random", "--vary", "power=1"], r"power=1: this method has no settings"),
        (["--vary", "formation=3"], r"formation"),
        (
            ["--grid", *(f"--vary={n}=1,2,3,5,6,7,8" for n in ("power", "networks", "rate"))]
            + ["--vary", "iterations=1,2,3,4,5"],
            r"--vary spells 1715 settings; give at most 1000, or no --grid",
        ),
        (["--vary", "power=1", "--network", "convnet-w8,convnet-w8"], r"names convnet.* twice"),
        (["--vary", "power=1", "--network", "convnet-w8,"], r"unknown network ''"),
    ],
)
def test_what_cannot_be_varied_gets_one_line_and_nothing_begins(args, says, idle, fails, tmp_path):
    error = fails(ablation.main, [*args, "--out", str(tmp_path)])
    assert re.search(says, error), error
    assert len(error) < 500 and not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("ablation")
    args = [*QUICK, *JUDGED, "--vary", "power=1", "--vary", "initialisation=kaiming"]
    ablation.main([*args, "--out", str(out)])
    return out, args


def test_each_point_is_the_record_that_its_own_command_makes(made, tmp_path):
    out, _ = made
    records = {record.key: record for record in read([out / "records"])}
    assert len(records) == 3 and {r.kind for r in records.values()} == {"classification"}
    classification.main([*QUICK, "--method.power", "1", *JUDGED, "--out", str(tmp_path)])
    (alone,) = read([tmp_path / "records"])
    assert records[alone.key].results == alone.results
    assert [s.digest for s in records[alone.key].sets] == [s.digest for s in alone.sets]
    shares = [record.cost.seconds for record in records.values()]
    assert all(own.keys() == {"distill", "train"} and min(own.values()) > 0 for own in shares)


def test_the_plan_is_told_before_and_what_is_there_is_found(made, capsys):
    out, args = made
    ablation.main([*args, "--out", str(out)])
    said = capsys.readouterr()
    assert "plan: 3 settings x 2 sets, 2 trained on each set: 6 sets and 12 trainings" in said.err
    assert "there already: 6 of 6 sets" in said.err and "found 12 of 12 networks" in said.err
    rows = [line for line in said.out.splitlines() if line.startswith("| -> |")]
    assert len(rows) == 3 and "minus datadam" in said.out and said.out.count("record: ") == 3
    assert "ablation-datadam-ipc1.png" in said.out


def test_the_estimate_is_that_of_counted_operations(tmp_path):
    args = [*QUICK, *JUDGED, "--vary", "power=1", "--out", str(tmp_path)]
    command, flags = parse(ablation.Ablation, args, prog="x")
    ready = ablation.prepare(command, flags)
    one = ready.judging
    _, forward = outlook.networks.size(one.rows[0].spec, (1, 8, 8), 10)
    each = forward * 10 * 3 * 3 / outlook.RATE + 3 * outlook.OVERHEAD  # images, epochs, passes
    assert outlook.training(one) == pytest.approx(2 * 2 * each)  # sets, networks
    config = one.rows[0].plan.config
    _, own = outlook.networks.size(outlook.networks.parse(config.network), (1, 8, 8), 10)
    expected = own * (2 * config.real_batch + 4 * 3) / outlook.RATE + (2 + 4) * outlook.OVERHEAD
    assert outlook.distilling(one.rows[0].plan, one) == pytest.approx(expected)
