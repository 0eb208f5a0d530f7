"""One set judged by several networks: the command, its records, and the table of all of them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from benchmarks import evidence, reported
from benchmarks.classification import __main__ as classification
from benchmarks.classification import networks
from benchmarks.classification import page as pages_of
from benchmarks.classification.rows import runs
from benchmarks.page import counts
from benchmarks.record import read
from distill import plan

from records import classification_record

QUICK = "--method.iterations 4 --method.networks 2 --method.network convnet-w8".split()
ARGS = [*QUICK, *"--sets 2 --networks 2 --epochs 3".split()]
JUDGES = ("convnet-d2-w8", "vit-d1-w8-h2")


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A folder with what one command made for both networks, and how many sets it made."""
    out, made = tmp_path_factory.mktemp("judges"), []
    whole = plan._made

    def counted(*given, **also):
        made.append(given)
        return whole(*given, **also)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(plan, "_made", counted)
        classification.main([*ARGS, "--network", ",".join(JUDGES), "--out", str(out)])
    return out, len(made)


def test_two_networks_find_what_two_commands_find_bit_for_bit(together, tmp_path):
    out, made = together
    assert made == 2, "each set once"
    both = {record.key: record for record in read([out / "records"])}
    for name in JUDGES:
        classification.main([*ARGS, "--network", name, "--out", str(tmp_path / name)])
        (alone,) = read([tmp_path / name / "records"])
        assert both[alone.key].results == alone.results
        assert [s.digest for s in both[alone.key].sets] == [s.digest for s in alone.sets]
        assert both[alone.key].label == alone.label
    assert len(both) == 2 and len({record.protocol_key for record in both.values()}) == 2


def test_a_second_run_finds_all_and_shows_the_table(together, capsys):
    out, _ = together
    classification.main([*ARGS, "--network", ",".join(JUDGES), "--out", str(out)])
    said = capsys.readouterr()
    assert "found 8 of 8 networks" in said.err
    (head,) = [line for line in said.out.splitlines() if line.startswith("| ipc")][:1]
    assert "convnet" in head and "vit-d1-w8-h2" in head and " all " in head
    assert said.out.count("record: ") == 2 and "classification-digits-by-network.png" in said.out


NETWORKS = ("convnet-d3-w128-instance-relu-avg", "alexnet", "vgg11-batch")
LIFT = {"random": 0.0, "dm": 2.0, "datadam": 5.0}


def records(ipc=50, **more):
    raised = {
        name: tuple(tuple(40.0 + lift + 3 * s + k / 4 for k in range(2)) for s in range(3))
        for name, lift in LIFT.items()
    }
    return [
        classification_record(method, ipc, network=name, accuracies=raised[method], **more)
        for method in LIFT
        for name in NETWORKS
    ]


def test_the_table_has_a_row_a_method_and_a_column_a_network():
    page = pages_of.pages(records(), [])["classification-cifar10-by-network"]
    first, minus, _ = page.tables
    assert list(first.frame.columns) == ["ipc", "method", "convnet", *NETWORKS[1:], "all", "n"]
    assert first.frame["method"].tolist() == ["random", "dm", "datadam"]
    assert set(first.frame["n"]) == {counts(evidence.estimate(runs(records()[0])))}
    assert minus.caption.startswith("Minus random") and len(minus.frame) == 2
    by_key = {(r.label, r.protocol.network): r for r in records()}
    for row in page.frame.to_dict("records"):
        if row["network"] != "all" and row["method"] != "random":
            own = (by_key[method, row["network"]] for method in (row["method"], "random"))
            expected = evidence.paired(*map(runs, own))
            assert row["minus random"] == pytest.approx(expected.mean)
            assert row["minus random low"] == pytest.approx(expected.low, abs=1e-3)
    means = page.frame[page.frame["method"] == "dm"].set_index("network")["accuracy"]
    assert means["all"] == pytest.approx(means[list(NETWORKS)].mean())
    drawing = page.drawings[""]
    (axis,) = drawing.draw(drawing.frame).axes
    ticks = [text.get_text() for text in axis.get_xticklabels()]
    assert ticks == ["convnet", "alexnet", "vgg11-batch", "all"]
    plt.close("all")


def test_the_page_says_in_which_networks_images_were_made():
    small = {"network": "convnet-d2-w8-instance-relu-avg"}
    known = [
        *records(),
        *(classification_record("dm", 50, network=n, config=small, label="dm x") for n in NETWORKS),
    ]
    note = " ".join(pages_of.pages(known, [])["classification-cifar10-by-network"].note.split())
    usual = "Images were learned or chosen in convnet-d3-w128-instance-relu-avg for dm, datadam"
    assert f"{usual}; convnet-d2-w8-instance-relu-avg for dm x." in note
    assert "random" not in note.partition("Images were")[2]


def test_no_interval_of_the_mean_is_over_the_kinds_of_networks():
    """They were chosen, so that only sets say how another would do: here there is one, and one run.

    With several runs on it the interval is over these.
    """
    for runs_of, known in (((40.0,), False), ((40.0, 41.0, 42.0), True)):
        alike = [
            classification_record("random", 1, network=name, accuracies=(tuple(own),))
            for name, own in zip(
                NETWORKS, ([v + n for v in runs_of] for n in (0, 20, 40)), strict=True
            )
        ]
        (page,) = networks.pages(alike, [], own=[alike[0].key]).values()
        row = page.frame.set_index("network").loc["all"]
        assert row["accuracy"] == pytest.approx(np.mean(runs_of) + 20)
        assert (row["accuracy high"] < row["accuracy"] + 5) == known, "not as far as the kinds are"


def test_published_figures_stand_below_where_there_are_any():
    published = reported.read(reported.location())
    page = pages_of.pages(records(), published)["classification-cifar10-by-network"]
    last = page.tables[-1]
    assert last.caption == "Published:"
    row = last.frame.set_index("method").loc["datadam"]
    assert row["alexnet"] == "63.9 ± 0.9" and row["vgg11-batch"] == "64.8 ± 0.5"
    assert (
        "Published:"
        not in pages_of.pages(records(ipc=7), published)["classification-cifar10-by-network"].text
    )


def test_only_rows_of_several_networks_count_and_a_page_has_three():
    some = records()
    name = "classification-cifar10-by-network"
    assert name not in pages_of.pages([r for r in some if r.protocol.network != "alexnet"], [])
    lonely = classification_record("herding", 50, network="alexnet")
    assert "herding" not in pages_of.pages([*some, lonely], [])[name].text
    two = [r for r in some if r.protocol.network != "alexnet"]
    assert networks.pages(two, [], own=[two[0].key]).keys() == {name}
    others = records(zca=False)
    assert len([n for n in pages_of.pages([*some, *others], []) if "by-network" in n]) == 2
