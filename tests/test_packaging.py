"""What a wheel holds: every file of the three packages, and the published figures."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parent.parent
ROOMS = ("distill", "downstream", "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TEMPLATE = "benchmarks/report/page.html"
MODULES = {p.relative_to(ROOT).as_posix() for room in ROOMS for p in (ROOT / room).rglob("*.py")}


def test_every_folder_of_ours_is_a_package_and_no_other_is():
    found = find_packages(str(ROOT), **PROJECT["tool"]["setuptools"]["packages"]["find"])
    assert {name.replace(".", "/") for name in found} == {
        Path(module).parent.as_posix() for module in MODULES
    }


def test_every_library_that_is_imported_is_asked_for_and_has_a_version_that_was_tried():
    asked = {re.match(r"[\w.-]+", line)[0] for line in PROJECT["project"]["dependencies"]}
    extras = PROJECT["project"]["optional-dependencies"]
    beside = {re.match(r"[\w.-]+", line)[0] for line in extras["parquet"]}  # for who wants it
    trees = [ast.parse((ROOT / module).read_text()) for module in MODULES]
    imports = {name.split(".")[0] for tree in trees for name in imported(tree)}
    libraries = imports - set(sys.stdlib_module_names) - set(ROOMS)
    distributions = packages_distributions()
    missing = {n for n in libraries if not (asked | beside) & set(distributions.get(n, [n]))}
    assert not missing and {"torch", "pydantic"} <= libraries
    tried = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert asked - tried == {"setuptools"}  # the builder's own


def imported(tree):
    """The absolute names in all import statements of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The file names in a wheel of this tree, and the contents of reported.csv in it."""
    needed = PROJECT["build-system"]["requires"][0].split(">=")[1]
    if int(version("setuptools").split(".")[0]) < int(needed):
        pytest.skip(f"setuptools {version('setuptools')} is here; {needed} is needed to build")
    tree = tmp_path_factory.mktemp("tree")
    texts = ("pyproject.toml", "README.md", "LICENSE", "results/reported.csv", TEMPLATE)
    for name in (*texts, *MODULES):
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
    assert code == MODULES and wheel[TEMPLATE] == (ROOT / TEMPLATE).read_bytes()
    (figures,) = [name for name in wheel if name.endswith("share/distill-suite/reported.csv")]
    assert ".data/data/" in figures, "installed into PREFIX/share"
    assert wheel[figures] == (ROOT / "results" / "reported.csv").read_bytes()
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
