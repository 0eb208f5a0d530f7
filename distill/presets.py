"""The presets that every method and protocol knows, and what each stands for."""

from distill.runtime.mistake import unknown

NAMES = ("laptop", "paper")
"""laptop: honest but small, minutes on two cores. paper: the published protocol."""
RECIPES = ("dm", "idc", "short")
"""How networks are trained on a set; `distill.recipes.named` says what each is."""


def require(name: str) -> str:
    """`name`, if it is a preset.

    Raises:
        Mistake: it is not.
    """
    if name not in NAMES:
        raise unknown("preset", name, NAMES)
    return name
