"""What the commands say of themselves."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as listing
from benchmarks.ablation import __main__ as ablation
from benchmarks.attention import __main__ as attention
from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.nas import __main__ as nas
from distill import __main__ as distill_command
from distill.runtime import registry

ROOT = Path(__file__).parent.parent


def helped(main, capsys, *args):
    with pytest.raises(SystemExit) as end:
        main([*args, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("help", ["--help", "-h"])
@pytest.mark.parametrize(
    ("main", "names", "common"),
    [
        (distill_command.main, "--method", ("--dataset", "--out", "--export")),
        (continual.main, "--buffer", ("--dataset", "--out", "--orders")),
        (classification.main, "--method", ("--dataset", "--out", "--recipe")),
        (nas.main, "--method", ("--dataset", "--out", "--engine")),
    ],
    ids=["distill", "continual", "classification", "nas"],
)
def test_help_with_a_method_shows_the_commands_flags_and_the_methods(
    main, names, common, help, capsys
):
    with pytest.raises(SystemExit) as end:
        main([names, "datadam", help])
    printed = capsys.readouterr()
    assert end.value.code == 0 and printed.err == ""
    for flag in (*common, "--method.power", "--method.iterations"):
        assert f"{flag} " in printed.out, flag
    assert not re.search(r"\b(distill|downstream|networks)\.[a-z]", printed.out)  # no module
    with pytest.raises(SystemExit):
        main([names, "random", "--dataset", "folder", help])  # which asks for a size elsewhere
    printed = capsys.readouterr().out
    assert "--dataset " in printed and "--method.power" not in printed


@pytest.mark.parametrize(
    ("main", "args"),
    [
        (distill_command.main, []),
        (distill_command.main, ["--method", "datadam"]),
        (distill_command.main, ["import"]),
        (distill_command.main, ["export"]),
        (continual.main, []),
        (nas.main, []),
        (attention.main, []),
        (ablation.main, []),
    ],
)
def test_a_flag_that_may_be_left_out_is_shown_as_what_it_takes(main, args, capsys):
    said = helped(main, capsys, *args)
    assert "{None}" not in said and " STR" in said + " STR" * (args == ["export"])


def test_none_is_no_value(fails):
    error = fails(distill_command.main, ["--workers", "None"])
    assert "--workers: 'None' is not a whole number" in error


def test_python_m_benchmarks_lists_the_commands(capsys, fails):
    assert listing.main(["--help"]) == 0
    printed = capsys.readouterr().out
    kinds = [f"benchmarks.{kind}" for kind in registry.names("benchmarks", folders=True)]
    for name in ("distill", "benchmarks.tables", *kinds):
        (line,) = [line for line in printed.splitlines() if f"python -m {name} " in line]
        assert len(line) < 140 and line.endswith(".")
    assert listing.main([]) == 2
    assert capsys.readouterr() == ("", printed)
    assert "did you mean benchmarks.continual" in fails(listing.main, ["continual"])


def test_what_it_lists_can_be_run():
    for args, code in ((["--help"], 0), ([], 2)):
        line = [sys.executable, "-m", "benchmarks", *args]
        assert subprocess.run(line, cwd=ROOT, capture_output=True).returncode == code


def test_an_ablation_takes_no_set_and_does_not_say_that_it_does(fails, capsys, tmp_path):
    assert ".safetensors" not in helped(ablation.main, capsys)
    error = fails(ablation.main, ["--method", str(tmp_path / "set.safetensors")])
    assert "unknown method" in error and "datadam" in error


def test_a_command_that_says_nothing_of_itself_is_listed_too(tmp_path, monkeypatch):
    for path in ("distill/__main__.py", "benchmarks/tables.py", "benchmarks/mine/__main__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("import sys\n")
    monkeypatch.setattr(listing, "HERE", tmp_path / "benchmarks")
    assert listing.commands()["benchmarks.mine"] == ""
