"""What a wheel holds: every file of the three packages, and the published figures."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parent.parent
ROOMS = ("distill", "downstream", "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = {p.relative_to(ROOT).as_posix() for room in ROOMS for p in (ROOT / room).rglob("*.py")}


def test_every_folder_of_ours_is_a_package_and_no_other_is():
    found = find_packages(str(ROOT), **PROJECT["tool"]["setuptools"]["packages"]["find"])
    assert {name.replace(".", "/") for name in found} == {
        Path(module).parent.as_posix() for module in MODULES
    }


def test_the_libraries_that_are_imported_are_asked_for():
    """With the versions of constraints.txt, which hold for every one that a test run needs."""
    project = PROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pinned = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    names = {requirement.split("=")[0].strip("<>!~ ").split(">")[0] for requirement in asked}
    names = {name.split("<")[0] for name in names}
    assert {"pydantic", "hypothesis", "torch", "tyro"} <= names
    unpinned = names - pinned.keys() - {"setuptools", "pytest"}
    assert not unpinned
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    assert lines == sorted(lines, key=lambda line: line.split("==")[0].lower())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The file names in a wheel of this tree, and the contents of reported.csv in it."""
    needed = PROJECT["build-system"]["requires"][0].split(">=")[1]
    if int(version("setuptools").split(".")[0]) < int(needed):
        pytest.skip(f"setuptools {version('setuptools')} is here; {needed} is needed to build")
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "results/reported.csv", *MODULES):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", tree / "out", tree]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (tree / "out").glob("distill_suite-*.whl")
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_a_wheel_holds_every_module_and_the_published_figures(wheel):
    code = {name for name in wheel if name.endswith(".py")}
    assert code == MODULES
    (figures,) = [name for name in wheel if name.endswith("share/distill-suite/reported.csv")]
    assert ".data/data/" in figures, "installed into PREFIX/share"
    assert wheel[figures] == (ROOT / "results" / "reported.csv").read_bytes()
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
