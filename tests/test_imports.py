"""Imports run one way, and the heavy libraries stay in their rooms (design: one picture)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [p for room in ("distill", "downstream", "benchmarks") for p in (ROOT / room).rglob("*.py")]
FORBIDDEN = {
    "distill": {"downstream", "benchmarks", "avalanche", "nni", "pandas", "seaborn", "matplotlib"},
    "downstream": {"benchmarks", "pandas", "seaborn", "matplotlib"},
    "benchmarks": {"avalanche", "nni"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    found = set(imported(path))
    room = path.relative_to(ROOT).parts[0]
    assert not found & FORBIDDEN[room]
    if "avalanche" in found:
        assert path.name.startswith("continual")
    if "nni" in found:
        assert path.name.startswith("nas")


@pytest.mark.parametrize(
    "module",
    [
        "distill",
        "benchmarks.continual",
        "benchmarks.classification",
        "benchmarks.cost",
        "benchmarks.nas",
    ],
)
def test_help_is_readable_and_imports_nothing_heavy(module):
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        "heavy = {'torch', 'pandas', 'avalanche', 'nni'}\n"
        f"try: runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "finally: print('HEAVY', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {module}" in done.stdout and "--device" in done.stdout
    assert done.stdout.strip().endswith("HEAVY")
