"""What a small memory is judged by: no memory, all images, a random sample of the stream.

None of the three is a method: they make no set, and keep real images as they are or none.

naive: fine-tuning, the lower bound. The networks go on, on each step's images alone. It belongs to
`replay`: there is nothing that fresh networks could be retrained on.

joint: all real images of all classes seen so far, at every step: the upper bound. With `retrain`
fresh networks are trained on them by the recipe of the table (the end of its curve by memory), with
`replay` the networks go on with them (Avalanche's `Cumulative`), and an epoch is a pass over them.

reservoir: experience replay (Chaudhry et al., On Tiny Episodic Memories in Continual Learning,
2019) as other buffers are used by either strategy, but the memory has all its room, ipc x classes
images, from the first step on, and is at any time a uniform sample of all images seen.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from distill.runtime.mistake import Mistake
from distill.settings import Settings

if TYPE_CHECKING:
    from distill.images import ImageSet
    from downstream.continual.memory import Memory

NAMES = ("naive", "joint", "reservoir")
WITHOUT_SETS = ("naive", "joint")
"""Of which no seed decides what is held: there is one memory, and no images a class to choose."""
VERSION = 1
"""Raised when the same row comes to hold other images."""


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Nothing to configure."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """A memory that is asked for by one of `NAMES`, where others have a `distill.plan.Plan`.

    Attributes:
        ipc: images a class that `reservoir` holds in the end, on the average; 0 elsewhere.
        seed: of what `reservoir` draws.
    """

    method: str
    ipc: int = 0
    seed: int = 0
    config: ClassVar[Config] = Config()

    def memory(self, real: "ImageSet") -> "Memory":
        """An empty one for the training images of all steps."""
        from downstream.continual.memory import Everything, Memory, Reservoir  # not by --help

        if self.method == "reservoir":
            return Reservoir(real, max_size=self.ipc * len(real.classes), seed=self.seed)
        return Everything(real) if self.method == "joint" else Memory(real)


def require(name: str, *, strategy: str, ipc: int, sets: int | None) -> Reference:
    """The reference of that name, as a command asks for it; `sets` is None where none are asked.

    Raises:
        Mistake: it does not go with the strategy, or has no images a class or sets to choose.
    """
    if name == "naive" and strategy == "retrain":
        raise Mistake(
            "--buffer naive keeps no images, so --strategy retrain has nothing to train on; give "
            "--strategy replay"
        )
    if name not in WITHOUT_SETS:
        return Reference(name, ipc)
    held = "no images" if name == "naive" else "all images"
    if ipc != 1:
        raise Mistake(f"--buffer {name} keeps {held}, whatever --ipc {ipc} says; leave --ipc out")
    if sets is not None:
        raise Mistake(
            f"--buffer {name} keeps {held}, so --sets {sets} has nothing to make anew; "
            "leave --sets out"
        )
    return Reference(name)
