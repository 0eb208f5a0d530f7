"""What the documents tell people to write is taken, and their links lead somewhere."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from benchmarks.ablation.__main__ import together
from distill import datasets
from distill.runtime import flags, registry

ROOT = Path(__file__).parent.parent
TEXT = ROOT / "docs" / "sets.md"


def test_the_programs_run():
    blocks = re.findall(r"```python\n(.*?)```", TEXT.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, str(TEXT), "exec"), names)
    assert names["images"].shape == (10, 1, 8, 8)
    assert names["replay"].storage_policy is names["buffer"]
    assert len(names["benchmark"].train_stream) == 5


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


COMMANDS = {
    "distill": "distill.__main__:Distill",
    "distill import": "distill.interchange.importing:Import",
    "distill export": "distill.interchange.exporting:Export",
    "benchmarks.ablation": "benchmarks.ablation.__main__:Ablation",
    "benchmarks.attention": "benchmarks.attention.__main__:Attention",
    "benchmarks.classification": "benchmarks.classification.__main__:Classification",
    "benchmarks.continual": "benchmarks.continual.__main__:Continual",
    "benchmarks.cost": "benchmarks.cost.__main__:Cost",
    "benchmarks.gallery": "benchmarks.gallery.__main__:Gallery",
    "benchmarks.nas": "benchmarks.nas.flags:Nas",
    "benchmarks.report": "benchmarks.report.__main__:Report",
    "benchmarks.tables": "benchmarks.tables:Tables",
}
STANDS_FOR = {
    "BUFFER": "dm",
    "METHOD": "dm",
    "PROXY": "random",
    "--method.SETTING": "--method.power",
}
STANDS_FOR |= dict.fromkeys(["N", "IPC", "SETS", "STEPS", "VALUE"], "2")


def commands(page):
    """The words after `python -m` of every command of a page, in blocks and within lines."""
    text = page.read_text().replace("\\\n", " ")
    lines = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    lines += [s.replace("\n", " ") for s in re.findall(r"`([^`]+)`", text.replace("```", ""))]
    for line in lines:
        for own in re.findall(r"python -m ((?:distill|benchmarks\.)[^;&]*)", line):
            words = shlex.split(own, comments=True)
            if len(words) > 1 and "$" not in own:
                named = "digits" if "--dataset NAME" in own else "dm"
                yield [(STANDS_FOR | {"NAME": named}).get(word, word) for word in words]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_are_taken(page):
    for module, *args in commands(page):
        if args[0] in ("import", "export"):
            module, *args = f"{module} {args[0]}", *args[1:]
        home, _, name = COMMANDS[module].partition(":")
        command = getattr(importlib.import_module(home), name)
        if "--help" not in args and args:
            args = together(args) if module == "benchmarks.ablation" else args
            asked, settings = flags.parse(command, args, prog=module)
            if settings:
                method = registry.load("distill.methods", getattr(asked, "buffer", asked.method))
                given = method.preset(datasets.about("digits"), asked.ipc or 1, asked.preset)
                flags.configure(given, settings, prog=module, command=command)


def test_there_are_commands():
    assert sum(len(list(commands(page))) for page in PAGES) > 50


def anchors(path):
    """Of the headings, as a forge makes them."""
    lines = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target
