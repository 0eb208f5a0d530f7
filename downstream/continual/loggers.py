"""Avalanche's own loggers, opened and closed properly."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from distill.runtime.mistake import Mistake, unknown

if TYPE_CHECKING:
    from downstream.continual._avalanche import BaseLogger

NAMES = ("csv", "tensorboard")
"""csv: training_results.csv and eval_results.csv. tensorboard: event files.

Of what the CSV logger has columns for, no test loss and no validation during training is measured;
as Avalanche does, it writes 0 there.
"""


@contextlib.contextmanager
def opened(name: str | None, folder: Path) -> Iterator[list["BaseLogger"]]:
    """The logger `name` writing into `folder`, as a list for `run_order`; closed in the end.

    None gives no logger. A logger is for one class order: give each a folder of its own.

    Raises:
        Mistake: no such logger, or a folder that cannot be written to.
    """
    if name is None:
        yield []
        return
    require(name)

    from downstream.continual._avalanche import CSVLogger, TensorboardLogger

    try:
        logger = CSVLogger(folder) if name == "csv" else TensorboardLogger(folder)
    except OSError as error:
        raise Mistake(f"cannot write the {name} log into {folder}: {error.strerror}") from error
    try:
        yield [logger]
    finally:
        (logger if name == "csv" else logger.writer).close()


def require(name: str) -> str:
    """`name`, if it is a logger.

    Raises:
        Mistake: it is not.
    """
    if name not in NAMES:
        raise unknown("logger", name, NAMES)
    return name
