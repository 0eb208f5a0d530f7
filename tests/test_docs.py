"""What docs/sets.md tells a programmer to write runs as it stands."""

import re
from pathlib import Path

TEXT = Path(__file__).parent.parent / "docs" / "sets.md"


def test_the_programs_run():
    blocks = re.findall(r"```python\n(.*?)```", TEXT.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, str(TEXT), "exec"), names)
    assert names["images"].shape == (10, 1, 8, 8)
    assert names["replay"].storage_policy is names["buffer"]
    assert len(names["benchmark"].train_stream) == 5
