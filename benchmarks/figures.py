"""What all figures share: one style, fixed colours and order of the methods, the PNG bytes."""

import io
from collections.abc import Iterable, Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from benchmarks.page import Drawing
from distill.runtime import identity

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
)
"""Methods in the order of tables and figures; variants follow their method, others the known."""
LAST = ("parameters", "flops", "synflow", "jacob_cov", "early-stopping", "whole", "joint")
"""What is no method comes last."""
BOUNDS = {"naive": ":", "joint": "--"}
"""What others lie between, in black, with the style of its line."""


def in_order(labels: Iterable[str]) -> list[str]:
    """The different labels, in the order of `ORDER` and `LAST`."""
    places = {name: place for place, name in enumerate(ORDER)}
    places |= {name: len(ORDER) + 1 + place for place, name in enumerate(LAST)}
    return sorted(set(labels), key=lambda x: (places.get(x.split()[0], len(ORDER)), x))


def palette(labels: Iterable[str]) -> dict[str, tuple]:
    """A colour for each label: the known methods keep theirs in every figure."""
    colours = sns.color_palette("colorblind", 10)
    fixed = {
        "random": 7,
        "herding": 1,
        "dm": 2,
        "datadam": 0,
        "reservoir": 9,
        "early-stopping": 4,
        "whole": 5,
    }
    free = [n for n in range(10) if n not in fixed.values()]
    chosen, taken = {}, set()
    for label in in_order(labels):
        if label.split()[0] in BOUNDS:
            chosen[label] = (0.0, 0.0, 0.0)
            continue
        place = fixed.get(label.split()[0])
        if place is None or place in taken:
            place = free.pop(0) if free else len(chosen) % 10
        taken.add(place)
        chosen[label] = colours[place]
    return chosen


def lines(
    axis: plt.Axes, frame: pd.DataFrame, names: Sequence[str], *, line: str, x: str, low: str
) -> None:
    """Accuracy against the column `x`, a line with its interval as a band for each of `names`.

    Args:
        frame: accuracy, the columns `low` and, with high in its place, the end of the interval, and
            what `line` (whose values are the names) and `x` call.
    """
    colours, markers = palette(names), dict(zip(names, "osD^vPX*<>" * 3, strict=False))
    for name in names:
        own = frame[frame[line] == name].sort_values(x)
        style = {"color": colours[name], "marker": markers[name], "markersize": 5}
        style["linestyle"] = BOUNDS.get(name.split()[0], "-")
        axis.plot(own[x], own["accuracy"], label=name, linewidth=1.6, **style)
        ends = (own[column].astype(float) for column in (low, low.replace("low", "high")))
        axis.fill_between(own[x], *ends, color=colours[name], alpha=0.12)


def draw(drawing: Drawing) -> bytes:
    """The PNG of a figure; what comes after the first colon of the title is on a second line."""
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = drawing.draw(drawing.frame)
        title = drawing.title.replace(": ", "\n", 1)
        figure.suptitle(title, y=1.02, va="bottom", fontsize=11)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
        plt.close(figure)
    return buffer.getvalue()


def digest(drawing: Drawing) -> str:
    """Of what a figure shows."""
    shown = f"{drawing.draw.__name__} {drawing.title}\n{drawing.frame.to_csv(index=False)}"
    return identity.digest(shown.encode())
