"""The order of the methods in all tables and figures."""

from collections.abc import Iterable

ORDER = (
    "naive",
    "random",
    "reservoir",
    "herding",
    "kcenter",
    "forgetting",
    "dc",
    "dsa",
    "dm",
    "datadam",
    "trained",
)
"""Methods in the order of tables and figures; variants follow their method, others the known."""
LAST = ("parameters", "flops", "synflow", "jacob_cov", "early-stopping", "whole", "joint")
"""What is no method comes last."""


def in_order(labels: Iterable[str]) -> list[str]:
    """The different labels, in the order of `ORDER` and `LAST`; a plain one before its variants."""
    places = {name: place for place, name in enumerate(ORDER)}
    places |= {name: len(ORDER) + 1 + place for place, name in enumerate(LAST)}

    def place(label: str) -> tuple[int, int, str]:
        words = label.split()
        return places.get(words[0], len(ORDER)), len(words), label

    return sorted(set(labels), key=place)
