"""The presets of methods and protocols, and what each stands for."""

from distill.runtime.mistake import Mistake, unknown

USUAL = ("laptop", "paper")
"""Those that every method has. laptop: honest but small, minutes on two cores. paper: the published
protocol."""
NAMES = (*USUAL, "released", "formation")
"""All. released: what the released code does, where that departs from the paper. formation: laptop
with four smaller images in the place of one."""
RECIPES = ("dm", "idc", "short", "dc")
"""How networks are trained on a set; `distill.training.recipes.named` says what each is."""


def require(name: str, *own: str) -> str:
    """`name`, if it is a preset that every method has, or one of a method's `own` besides.

    Raises:
        Mistake: it is neither.
    """
    accepted = (*USUAL, *own)
    if name in NAMES and name not in accepted:
        raise Mistake(
            f"this method has no preset '{name}'; --preset takes {', '.join(accepted)} with it"
        )
    if name not in NAMES:
        raise unknown("preset", name, accepted)
    return name


def protocol(name: str) -> str:
    """Which of the usual two a protocol has under that preset: with `released` the paper's.

    Raises:
        Mistake: there is no such preset.
    """
    if name not in NAMES:
        raise unknown("preset", name, NAMES)
    return "paper" if name == "released" else "laptop" if name == "formation" else name
