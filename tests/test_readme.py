"""What the README tells a programmer to write runs as it stands."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_programs_in_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert names["images"].shape == (10, 1, 8, 8)
    assert names["replay"].storage_policy is names["buffer"]
    assert len(names["benchmark"].train_stream) == 5
