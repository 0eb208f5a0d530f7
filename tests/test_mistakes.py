"""What a mistake on a command line gets: one line that says what to do, before the work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from distill import __main__ as distill_command
from distill.runtime import flags

ROOT = Path(__file__).parent.parent

SHARED = [
    (["--dataset", "cifar11"], "unknown dataset 'cifar11'.*did you mean cifar10"),
    (["--dataset", "_official"], "unknown dataset '_official'"),
    (["--preset", "papre"], "unknown preset 'papre'.*did you mean paper"),
    (["--ipc", "0"], "--ipc 0: give 1 or more"),
    (["--ipc", "-3"], "--ipc -3: give 1 or more"),
    (["--ipc", "1000"], "--ipc 1000 is more than the 116 images of class '8' of digits"),
    (["--ipc", "two"], "Error parsing --ipc"),
    (["--ipc"], "--ipc has no value; write --ipc INT\n"),
    (["--seed", "1.5"], "Error parsing --seed"),
    (["--device", "cuda:7"], "device 'cuda:7' is not there; this machine has: cpu"),
    (["--image-size", "32"], "digits has its own image size, 8; leave --image-size out"),
    (["--image-size", "big"], "Error parsing --image-size"),
    (["--dataset", "folder"], "give --image-size"),
    (["--dataset", "folder", "--image-size", "4"], "--image-size 4: give 8 to 1024"),
    (["--dataset", "folder", "--image-size", "8", "--data-root", "/none"], "there is no /none; "),
    (["--ipcs", "2"], "unknown flag '--ipcs'; did you mean --ipc"),
    (["stray"], "'stray' follows no flag|unknown verb 'stray'; accepted: import, export"),
    (["--method.powr", "2"], "unknown flag '--method.powr'; did you mean --method.power[?] "),
    (["--method.power", "0"], "power"),
    (["--method.network", "convnet-batsch"], "'batsch'.*did you mean batch"),
]
NETWORK = [
    (["--network", "convnet-w64-batsch"], "'batsch'.*did you mean batch"),
    (["--network", "convent"], "unknown network 'convent'.*did you mean convnet"),
    (["--network", ""], "unknown network ''"),
    (["--judge", "tset"], "unknown judge 'tset'.*did you mean test"),
    (["--workers", "0"], "--workers 0: give 1 or more"),
]
WRONG = {
    continual: [
        *SHARED,
        *NETWORK,
        (["--buffer", "datadm"], "unknown buffer 'datadm'; did you mean datadam. accepted: "),
        (["--buffer", "herdin"], "did you mean herding"),
        (["--buffer", "random", "--method.power", "2"], "unknown flag '--method.power'"),
        (["--strategy", "retrian"], "unknown strategy 'retrian'.*did you mean retrain"),
        (["--steps", "0"], "--steps 0: give 1 or more"),
        (["--steps", "11"], "--steps 11 cannot be had with 10 classes; give 1 to 10"),
        (["--orders", "0"], "--orders 0: give 1 or more"),
        (["--orders", "-1"], "--orders -1: give 1 or more"),
        (["--sets", "0"], "--sets 0: give 1 or more"),
        (["--sets", "6"], "--sets 6 cannot be spread over the 5 orders"),
        (["--logger", "cvs"], "unknown logger 'cvs'.*did you mean csv"),
    ],
    classification: [
        *SHARED,
        *NETWORK,
        (["--method", "datadm"], "unknown method 'datadm'.*did you mean datadam"),
        (["--sets", "0"], "--sets 0: give 1 or more"),
        (["--networks", "0"], "--networks 0: give 1 or more"),
        (["--epochs", "0"], "--epochs 0: give 1 or more"),
        (
            ["--recipe", "icd"],
            "unknown recipe 'icd'; did you mean idc. accepted: dm, idc, short, dc",
        ),
        (["--recipe", ""], "unknown recipe ''"),
        (["--recipe", "idc", "--epochs", "-1"], "--epochs -1: give 1 or more"),
        (["--zca", "maybe"], "--zca takes no value; leave out 'maybe'"),
    ],
    distill_command: [
        *SHARED,
        (["--method", "dmm"], "unknown method 'dmm'.*did you mean dm"),
        (["--zca=maybe"], "--zca takes no value; write --zca\n"),
        (["--bogus"], "unknown flag '--bogus'; accepted: --method, --dataset, .*, --method.NAME\n"),
        (["--image-sise", "8"], "unknown flag '--image-sise'; did you mean --image-size[?] "),
    ],
}


@pytest.mark.parametrize(
    ("module", "args", "says"),
    [(module, *case) for module, cases in WRONG.items() for case in cases],
    ids=lambda part: part.__name__.split(".")[-2] if hasattr(part, "main") else None,
)
def test_a_wrong_value_gets_one_line_before_the_work(
    module, args, says, fails, tmp_path, monkeypatch
):
    def work(*given, **also):
        raise AssertionError("it began to work")

    monkeypatch.setattr("distill.methods.datadam.distill", work)
    if hasattr(module, "run"):
        monkeypatch.setattr(module, "run", work)
    error = fails(module.main, [*args, "--out", str(tmp_path / "runs" / "x.safetensors")])
    assert re.search(says, error), error


def test_a_negative_value_is_a_value_and_no_flag():
    given = ["--method.networks", "-1"]
    command, rest = flags.parse(continual.Continual, ["--ipc", "2", *given], prog="x")
    assert command.ipc == 2 and rest == given


BRACES = "put a value with braces or spaces in quotation marks"


@pytest.mark.parametrize(
    "words",
    [
        ["--method.network", "convnet-d3-w32-instance", "convnet-d3-w64-instance"],
        ["--method.network=convnet-d3-w32", "--method.network=convnet-d3-w64"],
        ["--out", "my", "runs"],
    ],
    ids=" ".join,
)
def test_words_that_a_shell_made_of_one_value_are_told_of_quotation_marks(words, fails):
    for main in (distill_command.main, continual.main, classification.main):
        error = fails(main, words)
        assert BRACES in error and len(error) < 400, error


def test_other_mistakes_are_not_told_of_them(fails):
    for words in (["stray"], ["--ipcs", "2"], ["--ipc", "1", "--ipc", "2"]):
        assert "quotation" not in fails(distill_command.main, words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("export", "SET and --to are missing; write python -m distill export SET --to PATH"),
        ("export --kind pt set", "--to is missing; write python -m distill export SET --to PATH"),
        ("export --to x", "SET is missing; write python -m distill export SET --to PATH"),
        ("export set --too x", "unknown flag '--too'; did you mean --to? accepted: --to, --kind"),
        ("export set other --to x", "'other' follows no flag; python -m distill export --help"),
        ("import", "FILE is missing; write python -m distill import FILE"),
        ("import file --out", "--out has no value; write --out PATH"),
    ],
)
def test_what_is_missing_is_said_without_help_texts(words, says, fails):
    error = fails(distill_command.main, words.split())
    assert error.startswith(f"error: {says}") and len(error) < 100, error


def test_an_unusable_output_folder_is_said_before_the_work(fails, tmp_path):
    (tmp_path / "file").write_text("")
    for main in (continual.main, classification.main):
        assert "cannot write" in fails(main, ["--out", str(tmp_path / "file" / "runs")])
    error = fails(distill_command.main, ["--out", str(tmp_path / "file" / "set.safetensors")])
    assert "choose another folder" in error
    assert "is a folder" in fails(distill_command.main, ["--out", str(tmp_path)])
    export = ["--export", str(tmp_path / "file" / "pictures")]
    out = ["--out", str(tmp_path / "set.safetensors")]
    assert "cannot write" in fails(distill_command.main, [*out, *export])
    assert not (tmp_path / "set.safetensors").exists()


def test_a_read_only_output_folder(fails, tmp_path):
    tmp_path.chmod(0o500)
    try:
        (tmp_path / "probe").touch()
    except PermissionError:
        assert "Permission denied" in fails(continual.main, ["--out", str(tmp_path)])
    else:
        pytest.skip("this user may write everywhere")
    finally:
        tmp_path.chmod(0o700)


def test_a_process_ends_with_code_2_and_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.continual", "--buffer", "nothing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: unknown buffer 'nothing'")
    assert done.stderr.count("\n") == 1
