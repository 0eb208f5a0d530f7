"""The two presets that every command knows."""

from distill.mistake import unknown

NAMES = ("laptop", "paper")


def require(name: str) -> str:
    """`name`, if it is a preset.

    Raises:
        Mistake: it is not.
    """
    if name not in NAMES:
        raise unknown("preset", name, NAMES)
    return name
