"""To add a dataset, a method, an architecture or a kind of experiment is to add one file or folder.

Each is written into a folder of its own, which the package is then told of, and run end to end.
The first three are what docs/extending.md tells people to write.
"""

import importlib
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.record import RESULTS, read
from benchmarks.tables import Tables
from distill import __main__ as distill_command
from distill.runtime import origin, registry
from distill.runtime.mistake import Mistake
from distill.synthetic import SyntheticSet

TEXT = (Path(__file__).parent.parent / "docs" / "extending.md").read_text()
METHOD, MATCHING, DATASET, NETWORK = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
KIND = {
    "__init__.py": '"""How bright images are."""',
    "facts.py": """
from benchmarks.schema import Dataset, facts

VERSION = 1


@facts
class Protocol:
    dataset: Dataset


@facts
class Cell:
    half: str


@facts
class Results:
    brightness: list[float]


def name(protocol, cell):
    return f"{protocol.dataset.name}-{cell.half}"


def versions(protocol, cell):
    return []
""",
    "page.py": """
import pandas as pd

from benchmarks.made_with import made_with
from benchmarks.page import Page, Table, names_for_people


def pages(records, reported):
    named = names_for_people(records, lambda record: f"mykind-{record.protocol.dataset.name}")
    return {name: page(own) for name, own in named.items()}


def page(records):
    means = [sum(r.results.brightness) / len(r.results.brightness) for r in records]
    frame = pd.DataFrame({"half": [r.cell.half for r in records], "mean": means})
    table = Table(frame, [record.key for record in records])
    return Page("How bright", [table], "A note.\\n", frame, [table], {}, made_with(records))
""",
    "__main__.py": """
import dataclasses
import sys
from pathlib import Path

from benchmarks import command as shared
from distill import choices
from distill.runtime.flags import cli
from distill.runtime.mistake import one_line


@dataclasses.dataclass(frozen=True)
class MyKind:
    dataset: choices.Dataset = "mydata"
    half: str = "train"
    ipc: int = 1
    device: choices.Device = "cpu"
    data_root: Path = Path("data")
    image_size: int | None = None
    out: Path = Path("runs")


def main(args):
    command = cli(MyKind, args, prog="python -m benchmarks.mykind")
    data, compute = shared.load(command)

    from benchmarks.mykind import facts
    from benchmarks.provenance import Stopwatch, cost, provenance
    from benchmarks.record import Record

    begun, watch = provenance("benchmarks.mykind", args, compute.device), Stopwatch()
    images = getattr(data, command.half)
    brightness = [images.of_class(c).float().mean().item() for c in images.present]
    watch.lap("look")
    record = Record(
        kind="mykind",
        version=facts.VERSION,
        label=command.half,
        protocol=facts.Protocol(dataset=shared.dataset_used(data)),
        cell=facts.Cell(half=command.half),
        results=facts.Results(brightness=brightness),
        sets=[],
        cost=cost(watch.seconds, compute.device),
        provenance=begun,
    )
    shared.publish(record, command.out)


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
""",
}


@pytest.fixture
def add(tmp_path, monkeypatch):
    """add(package, name, content): one more file, or a folder of files, in a package for a test."""
    added = []

    def write(package, name, content):
        folder = tmp_path / package
        files = {f"{name}.py": content} if isinstance(content, str) else content
        inner = folder if isinstance(content, str) else folder / name
        inner.mkdir(parents=True)
        for file, text in files.items():
            (inner / file).write_text(text)
        home = importlib.import_module(package)
        monkeypatch.setattr(home, "__path__", [*home.__path__, str(folder)])
        importlib.invalidate_caches()
        added.append((home, name))

    yield write
    for home, name in added:
        vars(home).pop(name, None)
        full = f"{home.__name__}.{name}"
        for module in [m for m in sys.modules if m == full or m.startswith(f"{full}.")]:
            del sys.modules[module]


def rows_of(printed):
    return [line for line in printed.splitlines() if line.startswith("| ->")]


def test_a_dataset_a_method_and_an_architecture_are_one_file_each(add, tmp_path, capsys):
    add("distill.datasets", "mydata", DATASET)
    add("distill.methods", "mymethod", METHOD)
    add("distill.architectures", "mynet", NETWORK)
    out = tmp_path / "runs"
    brief = ["--orders", "2", "--strategy", "replay"]
    ours = ["--dataset", "mydata", "--network", "mynet-w8", "--out", str(out)]
    continual.main(["--buffer", "mymethod", "--method.of", "1", "--steps", "2", *brief, *ours])
    (record,) = read([out / "records"])
    assert record.label == "mymethod of=1" and record.cell.making.config == {"of": 1}
    assert record.protocol.network == "mynet-w8" and record.protocol.dataset.name == "mydata"
    finals = [matrix[-1] for own in record.results.matrices for matrix in own]
    assert sum(map(sum, finals)) / (2 * len(finals)) > 60, "bars are learned; chance is 25 %"
    (row,) = rows_of(capsys.readouterr().out)
    assert " mymethod of=1 " in row
    classification.main(["--method", "mymethod", "--epochs", "30", "--sets", "2", *ours])
    (row,) = rows_of(capsys.readouterr().out)
    assert " mymethod " in row and len(read([out / "records"])) == 2


def test_what_is_added_is_known_to_what_was_there(add, tmp_path):
    """The old methods learn from the new network; the new method takes the old datasets."""
    add("distill.datasets", "mydata", DATASET)
    add("distill.methods", "mymethod", METHOD)
    add("distill.architectures", "mynet", NETWORK)
    out = tmp_path / "set.safetensors"
    few = ["--method.iterations", "2", "--method.networks", "2", "--method.network", "mynet"]
    distill_command.main(["--dataset", "mydata", "--method", "datadam", *few, "--out", str(out)])
    assert SyntheticSet.load(out).made.config["network"] == "mynet-w4"
    other = tmp_path / "other.safetensors"
    distill_command.main(["--method", "mymethod", "--ipc", "2", "--out", str(other)])
    assert len(SyntheticSet.load(other)) == 20


def test_a_statistic_makes_a_method(add, tmp_path):
    add("distill.methods", "channels", MATCHING)
    few = [
        "--method.iterations",
        "3",
        "--method.networks",
        "2",
        "--method.network",
        "convnet-d2-w8",
    ]
    sets = {}
    for method in ("channels", "dm"):
        out = tmp_path / f"{method}.safetensors"
        distill_command.main(["--method", method, *few, "--out", str(out)])
        sets[method] = SyntheticSet.load(out).images
    assert sets["channels"].shape == sets["dm"].shape
    assert not sets["channels"].equal(sets["dm"])


def test_what_is_added_is_named_in_mistakes_and_checks_its_settings(add, fails):
    add("distill.methods", "mymethod", METHOD)
    assert "accepted: datadam" in fails(continual.main, ["--buffer", "mymethd"])
    assert "did you mean mymethod" in fails(continual.main, ["--buffer", "mymethd"])
    zero = fails(continual.main, ["--buffer", "mymethod", "--method.of", "0"])
    assert "--method.of 0: give 1 or more" in zero


def test_what_was_added_is_gone_afterwards(add):
    assert "mymethod" not in registry.names("distill.methods")
    with pytest.raises(Mistake, match="unknown method 'mymethod'"):
        registry.load("distill.methods", "mymethod")


def test_a_kind_of_experiment_is_one_folder(add, tmp_path, monkeypatch, capsys):
    add("distill.datasets", "mydata", DATASET)
    add("benchmarks", "mykind", KIND)
    monkeypatch.setattr(origin, "_known", origin.Origin("0" * 12, "a" * 40, True))
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(RESULTS / "reported.csv", results)
    for half in ("train", "test"):
        monkeypatch.setattr(sys, "argv", ["mykind", "--half", half, "--out", str(results)])
        runpy.run_module("benchmarks.mykind", run_name="__main__", alter_sys=True)
    printed = capsys.readouterr().out
    assert printed.count("How bright\n") == 2
    assert [row.split("|")[2].strip() for row in rows_of(printed)] == ["train", "test"]
    records = read([results / "records"])
    assert [record.cell.half for record in records] == ["test", "train"]
    assert tables.main(Tables(results=results)) == 0
    page = (results / "tables" / "mykind-mydata.md").read_text()
    assert page.startswith("# How bright\n") and "python -m benchmarks.mykind --half test" in page
    assert tables.main(Tables(check=True, results=results)) == 0
    path = results / "records" / records[0].name
    path.write_text(path.read_text().replace("brightness", "brightnes"))
    with pytest.raises(Mistake, match=f"{path} is not a record"):
        tables.main(Tables(check=True, results=results))
