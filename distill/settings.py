"""What is asked of the configuration of every method, and of a number in it."""

import dataclasses
import math
import numbers
import operator
import typing
from typing import Any, ClassVar

from distill.runtime.mistake import Mistake, short

LARGEST = 1e38
"""Of all settings: about what float32 holds."""


class Settings:
    """What a method's Config, a frozen dataclass, derives from; it says what is not as here.

    Attributes:
        couples_classes: whether a class's images depend on the classes that they are made with.
        formation: how many smaller images share a stored one, per side.
        learns: whether anything is trained, pixels or networks.
        stepwise: whether pixels are, by `distill.learn`.
        extendable: whether a set of more steps can go on from where this one ends.
        compiles: whether `--compile` makes a difference.
    """

    couples_classes: ClassVar[bool] = False
    formation: ClassVar[int] = 1
    learns: ClassVar[bool] = False
    stepwise: ClassVar[bool] = False
    extendable: ClassVar[bool] = False
    compiles: ClassVar[bool] = False


KINDS = {bool: bool, int: numbers.Integral, float: numbers.Real, str: str}
"""What a setting of each type may be given as; numpy's numbers are numbers."""


def whole_number(name: str, value: Any) -> int:
    """A value as Python's integer.

    Raises:
        Mistake: it is no whole number; 1.0 is none.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        raise Mistake(f"{name}={value!r:.60}: give a whole number") from error


def of_kind(config: object, name: str, value: Any) -> Any:
    """A value for a field of `config`: a number of Python's, if one of numpy's is given.

    Raises:
        Mistake: it is of another.
    """
    kind = typing.get_type_hints(type(config))[name]
    if not isinstance(value, KINDS[kind]) or isinstance(value, bool) is not (kind is bool):
        raise Mistake(f"{name}={value!r:.60}: give a {kind.__name__}")
    return value if type(value) in KINDS else kind(value)


def require(
    config: object,
    name: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = LARGEST,
) -> None:
    """Check a number of a method's configuration.

    Raises:
        Mistake: it is no number, not finite, not whole where it must be, or beyond the bounds.
    """
    value, flag = getattr(config, name), name.replace("_", "-")
    (field,) = (field for field in dataclasses.fields(config) if field.name == name)
    given = f"--method.{flag} {short(value)}"
    if not isinstance(value, int if field.type is int else int | float):
        raise Mistake(f"{given}: give a {'whole ' if field.type is int else ''}number")
    if value > most and value != math.inf:  # also one that no float can hold
        raise Mistake(f"{given}: give at most {most}")
    if math.isfinite(value) and value >= least and value > above and value < below:
        return
    bounds = [f"{least} or more"] if least > -math.inf else []
    bounds += [f"above {above}"] if above > -math.inf else []
    bounds += [f"below {below}"] if below < math.inf else []
    raise Mistake(f"{given}: give {' and '.join(bounds) or 'a finite number'}")
