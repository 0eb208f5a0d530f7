"""What a record of costs holds."""

from benchmarks import schema
from benchmarks.schema import facts

VERSION = 2


@facts
class Protocol:
    """What is measured and on what.

    Attributes:
        part: of `benchmarks/cost/parts`. device: of torch. threads: the most that a row had.
    """

    part: str
    device: str
    threads: int


@facts
class Cell:
    """How it was measured; what a row was measured with stands in its columns.

    Attributes:
        turns: how often each thing was timed. precisions, threads: that have rows.
        commands: that were asked for in the place of a part's own.
        classes, images: in the file of the part scaling, and of each class.
    """

    turns: int
    precisions: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    classes: int = 1000
    images: int = 1300


@facts
class Results:
    """The table.

    Attributes:
        title, note: of the part when it ran. rows: by column; medians and ratios over the turns.
    """

    title: str
    note: str
    rows: list[dict[str, float | int | str]]


def name(protocol: Protocol, cell: Cell) -> str:
    """`step-cpu-2-threads`."""
    part, device = protocol.part.replace("_", "-"), protocol.device.replace(":", "")
    return f"{part}-{device}-{protocol.threads}-{'thread' if protocol.threads == 1 else 'threads'}"


def versions(protocol: Protocol, cell: Cell) -> schema.Versions:
    """Nothing: a measured time is what it was."""
    return []
