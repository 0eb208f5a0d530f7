"""What each setting of a method is worth: a grid over its configuration, written as data.

python -m benchmarks.ablation --method datadam --vary power=1,2,4,8 balance=0,0.01
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import functools
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import command as shared
from benchmarks.ablation import grid
from benchmarks.classification.__main__ import Classification, prepare, run
from distill import choices
from distill.runtime import ranks
from distill.runtime.flags import configure, parse
from distill.runtime.mistake import one_line

PROG = "python -m benchmarks.ablation"


@dataclasses.dataclass(frozen=True)
class Ablation(Classification):
    """Make sets with some settings changed, train fresh networks on each, compare.

    The settings that are varied, and the preset, are judged on the same sets' and networks' numbers
    as benchmarks.classification judges; each is a record of that kind. Flags of the method's own,
    --method.NAME VALUE, change the preset that all are compared with.
    """

    method: choices.Method = "datadam"
    vary: tuple[str, ...] = ()
    """Settings and their values: power=1,2,4 every_layer=true; may be given more than once."""
    grid: bool = False
    """All combinations, not one setting at a time."""


@ranks.led()
def main(args: list[str]) -> None:
    """Run what `args` ask for, write its records and show what each setting is worth."""
    command, flags = parse(Ablation, together(args), prog=PROG)
    ready = prepare(command, flags, prog=PROG, variants=functools.partial(variants, command))

    from benchmarks.ablation import outlook
    from benchmarks.classification import ablation
    from benchmarks.provenance import provenance

    for line in outlook.told(ready.judging):
        ranks.progress().say(line)
    records = run(ready, provenance("benchmarks.ablation", args, ready.compute.device))
    shared.publish_together(records, command.out, ablation.pages)


def variants(command: Ablation, config: Any) -> Sequence[Any]:
    """The configurations that the command asks for, `config` first.

    Raises:
        Mistake: what `grid.points` raises.
    """

    def read(flags: list[str]) -> Any:
        return configure(config, flags, prog=PROG, command=Ablation)

    return grid.points(config, command.vary, read, whole=command.grid)


def together(args: Sequence[str]) -> list[str]:
    """The words of every --vary behind the first one, as if it were given once."""
    words, others, within = [], [], False
    for arg in args:
        if arg.startswith("-"):
            within = arg.partition("=")[0] == "--vary"
            words += [arg.partition("=")[2]] if within and "=" in arg else []
            others += [] if within else [arg]
        else:
            (words if within else others).append(arg)
    return [*others, "--vary", *words] if words else others


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
