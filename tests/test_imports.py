"""Imports run one way and in no circle, and heavy libraries and datasets' names keep their rooms.

The picture is that of the README: benchmarks -> downstream -> distill -> distill/runtime.
"""

import ast
import collections
import re
import subprocess
import sys
from pathlib import Path

import pytest

from distill.runtime import registry

ROOT = Path(__file__).parent.parent
ROOMS = ("distill", "downstream", "benchmarks")
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
}


def module_of(file):
    """`distill.plan` of distill/plan.py, `distill` of distill/__init__.py."""
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


MODULES = {module_of(file): tree for file, tree in FILES.items()}


def targets(node):
    """The modules that an import statement names; of ours, the file that it means."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else node.module


def imported(tree):
    """All modules that a file imports, wherever in it."""
    return {name for node in ast.walk(tree) for name in targets(node)}


def imported_first(statements):
    """The modules that a file imports while it is imported itself: not in functions nor for types.

    What stands in a class or under an `if` counts.
    """
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported_first(node.orelse)
            continue
        yield from targets(node)
        for block in ("body", "orelse", "finalbody"):
            yield from imported_first(getattr(node, block, []))


def within(module, *rooms):
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def offences(importers, imports, *, except_in=()):
    """Files of some rooms that import what they may not."""
    return {
        (file, name)
        for file, tree in FILES.items()
        for name in imported(tree)
        if within(module_of(file), *importers)
        and not within(module_of(file), *except_in)
        and within(name, *imports)
    }


def test_imports_run_one_way():
    assert not offences(["distill"], ["downstream", "benchmarks"])
    assert not offences(["downstream"], ["benchmarks"])
    assert not offences(ROOMS, ["tests", "conftest", "examples"])


def test_the_runtime_knows_nothing_of_the_science():
    science = {name for name in MODULES if within(name, "distill")}
    science -= {name for name in science if within(name, "distill.runtime")} | {"distill"}
    assert not offences(["distill.runtime"], science)


def test_heavy_libraries_stay_in_their_rooms():
    assert not offences(ROOMS, ["avalanche"], except_in=["downstream.continual"])
    assert not offences(ROOMS, ["nni"], except_in=["downstream.nas"])
    plots = ["pandas", "seaborn", "matplotlib"]
    assert not offences(ROOMS, plots, except_in=["benchmarks"])


def test_no_two_modules_import_each_other_on_any_way():
    """What is imported when a module is: a circle there fails or not by who comes first."""
    graph = {
        name: {target for target in imported_first(tree.body) if target in MODULES}
        for name, tree in MODULES.items()
    }
    assert sum(map(len, graph.values())) > 100
    done: set[str] = set()

    def walk(name, trail):
        circle = " -> ".join([*trail[trail.index(name) :], name]) if name in trail else None
        assert circle is None, circle
        if name not in done:
            for target in sorted(graph[name]):
                walk(target, [*trail, name])
            done.add(name)

    for name in graph:
        walk(name, [])


def texts(tree):
    """The string constants of a file but for those that stand alone: docstrings."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


ENGLISH = {"folder", "digits"}
"""Names of datasets that are words too: they may stand in a sentence, but not alone."""


def test_no_dataset_is_named_outside_its_room():
    """To add one is to add one file: nothing else asks which dataset it is."""
    names = registry.names("distill.datasets")
    assert set(names) >= ENGLISH
    words = "|".join(name for name in names if name not in ENGLISH)
    offending = {
        (file, text)
        for file, tree in FILES.items()
        if not file.startswith("distill/datasets/")
        for text in texts(tree)
        if text in names or re.search(rf"\b({words})\b", text)
    }
    assert not offending


def test_functions_fit_on_a_screen_and_files_are_not_long():
    long = {
        (file, node.name)
        for file, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 50
    }
    long |= {(f, "") for f in FILES if len((ROOT / f).read_text().splitlines()) > 300}
    assert not long


BY_CONTRACT = {"Config", "Spec", "Network", "Protocol", "Cell", "Results", "Ready"}
"""Exceptions: what every file of a kind has, of methods, networks, experiments or commands."""


def test_no_two_classes_have_one_name():
    """So that a name in a traceback, a search or a sentence is one thing."""
    homes = collections.defaultdict(list)
    for file, tree in FILES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name not in BY_CONTRACT:
                homes[node.name].append(file)
    assert not {name: files for name, files in homes.items() if len(files) > 1}


COMMANDS = [
    "distill",
    *(f"benchmarks.{kind}" for kind in registry.names("benchmarks", folders=True)),
]


@pytest.mark.parametrize("module", [*COMMANDS, "benchmarks.tables"])
def test_help_is_readable_and_imports_nothing_heavy(module):
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        "heavy = {'torch', 'pandas', 'avalanche', 'nni', 'matplotlib', 'seaborn'}\n"
        f"try: runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "finally: print('HEAVY', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {module}" in done.stdout and done.stderr == ""
    own = {f"benchmarks.{name}": "--out" for name in ("report", "gallery")}
    own["benchmarks.tables"] = "--check"
    assert own.get(module, "--device") in done.stdout
    assert done.stdout.strip().endswith("HEAVY")
