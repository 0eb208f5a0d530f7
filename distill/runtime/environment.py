"""What this process and those that it starts find in their environment."""

import contextlib
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def variables(own: Mapping[str, str]) -> Iterator[None]:
    """Within it these variables of the environment are so; afterwards as before."""
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
