"""Class-incremental learning with a distilled replay memory, on Avalanche.

For programs: `DistilledBuffer` is a storage policy that Avalanche's own strategies take, and
`class_incremental` makes their benchmark. `examples/avalanche_replay.py` puts the two together:

    data = data.normalised_by(Normalisation.fixed(1))
    benchmark = class_incremental(data, steps=5)
    buffer = DistilledBuffer.of("datadam", data.train, ipc=1)
    ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer)

Avalanche takes 10 to 40 s to import, so that happens only when one of the two is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from downstream.continual.buffer import DistilledBuffer
    from downstream.continual.data import class_incremental

__all__ = ["DistilledBuffer", "class_incremental"]

_HOMES = {"DistilledBuffer": "buffer", "class_incremental": "data"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
