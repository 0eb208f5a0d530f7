"""What a number of a configuration can be."""

import dataclasses
import math

from distill.runtime.mistake import Mistake, short

LARGEST = 1e38
"""Of all settings: about what float32 holds."""


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
