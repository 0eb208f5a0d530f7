"""Wrong command lines of every command: one short line, exit code 2, and nothing begun."""

import re
from typing import NamedTuple

import pytest

from benchmarks import tables
from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.nas import __main__ as nas
from distill import __main__ as distill
from distill import datasets, plan
from distill.runtime.flags import cli
from distill.training import train


def tables_main(args):
    tables.main(cli(tables.Tables, args, prog="python -m benchmarks.tables"))


COMMANDS = {
    "distill": distill.main,
    "continual": continual.main,
    "classification": classification.main,
    "nas": nas.main,
    "tables": tables_main,
}
LEARN = ("distill", "continual", "classification", "nas")


class Wrong(NamedTuple):
    """A wrong command line; `said` is what the line must hold, `loads` if data must be loaded."""

    command: str
    args: list[str]
    said: str
    loads: bool = False

    @property
    def name(self) -> str:
        return f"{self.command} {' '.join(arg[:30] for arg in self.args)}".replace("\0", "NUL")


NO_NUMBERS = ("nan", "inf", "1.5", "1e3", "two", "", " ", "²", "１", "1_0", "0x10", "9" * 5000)
NO_FLOATS = ("nan", "-inf", "1e999", "much", "", "½", "１", "1_0", "--")
WHOLE = {  # values that are numbers and yet no sense
    "ipc": ("0", "-1", "1000000000000", "-9223372036854775809"),
    "seed": ("-1", str(2**70)),
    "image-size": ("-8", "0", "5000", "999999999"),
    "workers": ("0", "-2", "1000000000"),
    "sets": ("0", "-1", "1000000000"),
    "orders": ("0", "-1", "1000000000"),
    "steps": ("0", "-1", "1000000000"),
    "epochs": ("0", "-1", "1000000000000"),
    "trials": ("0", "1", "-5", "1000000000"),
    "concurrency": ("0", "-1", "1000000000"),
    "port": ("0", "-1", "65536", "99999999999"),
}
FLAGS = {
    "distill": ("ipc", "seed", "image-size"),
    "continual": ("ipc", "seed", "image-size", "workers", "steps", "orders", "sets", "networks"),
    "classification": ("ipc", "seed", "image-size", "workers", "sets", "networks", "epochs"),
    "nas": ("ipc", "seed", "image-size", "workers", "epochs", "trials", "concurrency", "port"),
}
WHOLE["networks"] = WHOLE["sets"]


def wrong_numbers():
    for command, flags in FLAGS.items():
        for place, flag in enumerate(flags):
            extra = ["--strategy", "random"] if flag == "trials" else []
            for value in WHOLE[flag]:
                yield Wrong(command, [*extra, f"--{flag}", value], flag)
            for value in NO_NUMBERS[place % 3 :: 3]:  # every third one, by turns
                yield Wrong(command, [*extra, f"--{flag}", value], flag)


SETTINGS = {  # of a method that learns: numbers that make no sense
    "iterations": ("-1", "1e3", "nan", "1000000000000", "１"),
    "rate": ("-1", "0", "nan", "inf", "1e999", "½", "", "1e40"),
    "momentum": ("2", "1", "-0.5", "nan", "-inf"),
    "averaged": ("1", "-0.5", "nan"),
    "formation": ("0", "-2", "3", "1000000000000", "nan"),
    "networks": ("-1", "two", "1000000000000"),
    "real-batch": ("0", "-7", "1000000000000"),
    "power": ("0", "-1", "nan", "1e300"),
    "balance": ("-1", "nan", "inf"),
    "weight": ("0", "-1", "-inf", "nan"),
    "schedule": ("", "linaer", "constant linear", "²"),
    "initialisation": ("", "he", "uniform kaiming"),
    "start": ("", "nowhere.csv", "reel", "\0.csv", "positions 1:", "x" * 5000),
}


def wrong_settings():
    for setting, values in SETTINGS.items():
        for value in values:
            yield Wrong("distill", [f"--method.{setting}={value}"], setting)
        for command in LEARN[1:]:
            yield Wrong(command, [f"--method.{setting}={values[0]}"], setting)
    for method in ("herding", "kcenter"):
        for value in ("0", "-1", "1000000000000", "nan", ""):
            yield Wrong("distill", ["--method", method, "--method.networks", value], "networks")
    yield Wrong("distill", ["--method", "random", "--method.rate", "1"], "method.rate")
    yield Wrong("continual", ["--buffer", "dm", "--method.power", "1"], "method.power")
    yield Wrong("distill", ["--method.rate"], "rate")
    yield Wrong("distill", ["--method."], "method.")
    yield Wrong("distill", ["--method.=1"], "method.")
    yield Wrong("distill", ["--method.rate", "1", "2"], "2")


NO_NETWORKS = (
    "",
    "-",
    "convnet-",
    "convnet--w8",
    "convnet-w²",
    "convnet-w１",
    "convnet-w99999999",
    "convnet-d1000000",
    "convnet-w" + "9" * 5000,
    "convnet-w0",
    "convnet-w-8",
    "convnet-w8-w8",
    "convnet-wnan",
    "convnet-w8.5",
    "ConvNet",
    "résnet18",
    "resnet",
    "resnet99",
    "resnet１８",
    "vgg11-w8",
    "alexnet-w8",
    "vit-w10-h3",
    "vit-d99999999",
    "vit-h0",
    "../convnet",
    "_norms",
    "convnet\0",
    "convnet " * 500,
)


def wrong_networks():
    for place, name in enumerate(NO_NETWORKS):
        yield Wrong("distill", [f"--method.network={name}"], "")
        command = ("continual", "classification")[place % 2]
        yield Wrong(command, [f"--network={name}"], "network")
    for command in ("continual", "classification"):
        yield Wrong(command, ["--network=convnet-w4096-d64"], "weights", loads=True)
    for value in ("two", "²", "0", "-1", "1", "99999", "nan", "", "9" * 5000, "１０", "1e1"):
        yield Wrong("nas", [f"--networks={value}"], "networks")


WORDS = {
    "distill": ("method", "dataset", "preset", "precision", "compile", "device"),
    "continual": ("buffer", "dataset", "preset", "judge", "strategy", "logger", "compile"),
    "classification": ("method", "dataset", "preset", "judge", "recipe", "precision"),
    "nas": ("proxy", "method", "dataset", "preset", "strategy", "space", "engine"),
}


def wrong_words():
    for command, flags in WORDS.items():
        for flag in flags:
            for value in ("", "nonsense", "../x", "é\n²", "x" * 5000):
                yield Wrong(command, [f"--{flag}", value], "")
    for command in LEARN:
        yield Wrong(command, ["--zca", "maybe"] if command != "nas" else ["--zca"], "")


def wrong_shapes():
    """Flags that there are not, without a value, or given twice."""
    for command in COMMANDS:
        yield Wrong(command, ["--nonsense"], "--nonsense")
        yield Wrong(command, ["--nonsense=1"], "--nonsense")
        yield Wrong(command, ["stray"], "stray")
        yield Wrong(command, ["-x"], "-x")
        yield Wrong(command, ["--" + "x" * 5000], "")
        yield Wrong(command, ["--", "stray"], "")
        yield Wrong(command, [""], "")
    for command in LEARN:
        yield Wrong(command, ["--ipc"], "ipc")
        yield Wrong(command, ["--ipc", "1", "--ipc", "2"], "--ipc is given twice")
        yield Wrong(command, ["--image-size=8", "--image_size", "8"], "--image-size is given twice")
        yield Wrong(command, ["--method.rate=1", "--method.rate=2"], "rate is given twice")
        yield Wrong(command, ["--ipc", "1", "2"], "2")
        yield Wrong(command, ["--out", ""], "--out")
        yield Wrong(command, ["--out", "a\0b"], "--out")
        yield Wrong(command, ["--data-root", ""], "--data-root")
        yield Wrong(command, ["--out", "x" * 300], "x")
    yield Wrong("distill", ["--export", ""], "--export")
    yield Wrong("distill", ["--zca", "--no-zca"], "--zca is given twice")
    yield Wrong("nas", ["--truth", "nowhere.json"], "nowhere.json", loads=True)
    yield Wrong("nas", ["--truth", ""], "--truth")
    yield Wrong("nas", ["--engine", "service", "--engine-config", "nowhere.yml"], "nowhere.yml")
    yield Wrong("tables", ["--results", "nowhere"], "nowhere")
    yield Wrong("tables", ["--results", ""], "--results")
    yield Wrong("tables", ["--check", "--no-check"], "--check is given twice")
    yield Wrong("tables", ["--check", "maybe"], "maybe")


def wrong_places():
    """A file where a folder is needed, and the reverse; FILE and FOLDER are put in by the test."""
    for command in LEARN:
        place = f"FILE/runs{'.safetensors' * (command == 'distill')}"
        yield Wrong(command, ["--out", place], "choose another folder")
        yield Wrong(
            command,
            ["--dataset", "folder", "--image-size", "8", "--data-root", "FILE"],
            "give a folder or a zip",
            loads=True,
        )
    for command in LEARN[1:]:
        yield Wrong(command, ["--out", "FILE"], "FILE")
    yield Wrong("distill", ["--out", "FOLDER"], "is a folder")
    yield Wrong("distill", ["--out", "set.pt"], "ends in .safetensors")
    yield Wrong("distill", ["--out", "set"], "ends in .safetensors")
    yield Wrong("distill", ["--out", "FOLDER/"], "is a folder")
    yield Wrong("distill", ["--export", "FILE"], "FILE")
    yield Wrong("distill", ["--method.start", "FOLDER/none.csv"], "none.csv")
    yield Wrong("tables", ["--results", "FILE"], "FILE")


CASES = [
    *wrong_numbers(),
    *wrong_settings(),
    *wrong_networks(),
    *wrong_words(),
    *wrong_shapes(),
    *wrong_places(),
]


def begun(what):
    def begin(*given, **also):
        raise AssertionError(f"it began: {what}")

    return begin


@pytest.fixture
def idle(monkeypatch):
    """Whatever takes long must not begin."""
    monkeypatch.setattr(plan, "_made", begun("distilling"))
    monkeypatch.setattr(train, "training", begun("training"))
    monkeypatch.setattr(continual, "run", begun("the run"))
    monkeypatch.setattr(classification, "run", begun("the run"))


def test_there_are_many():
    assert len(CASES) >= 150 and len({(case.command, *case.args) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
def test_a_wrong_command_line_gets_one_short_line_and_nothing_begins(
    case, idle, fails, tmp_path, monkeypatch
):
    (tmp_path / "FILE").write_text("")
    (tmp_path / "FOLDER").mkdir()
    monkeypatch.chdir(tmp_path)
    if not case.loads:
        monkeypatch.setattr(datasets, "load", begun("loading data"))
    error = fails(COMMANDS[case.command], case.args)
    assert len(error) < 500, f"{len(error)} characters"
    assert error.isprintable() or error[:-1].isprintable(), error
    assert re.search(re.escape(case.said), error), error
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "FILE"]


@pytest.mark.parametrize("command", LEARN[1:])
@pytest.mark.parametrize("folder", ["records", "sets"])
def test_a_folder_of_the_output_that_is_none_is_found_before_the_data(
    command, folder, idle, fails, tmp_path, monkeypatch
):
    monkeypatch.setattr(datasets, "load", begun("loading data"))
    (tmp_path / folder).write_text("")
    assert f"{tmp_path / folder}" in fails(COMMANDS[command], ["--out", str(tmp_path)])


@pytest.mark.parametrize("command", LEARN[1:])
def test_a_broken_record_beside_is_found_before_the_data(
    command, idle, fails, tmp_path, monkeypatch
):
    monkeypatch.setattr(datasets, "load", begun("loading data"))
    path = tmp_path / "records" / "classification-x.json"
    path.parent.mkdir()
    path.write_text("{")
    assert f"{path} is not a record" in fails(COMMANDS[command], ["--out", str(tmp_path)])
