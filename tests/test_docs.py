"""What docs/sets.md tells a programmer to write runs as it stands."""

import re
from pathlib import Path

import pytest

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
