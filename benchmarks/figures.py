"""What all figures share: one style, fixed colours of the methods, the PNG bytes."""

import collections
import io
import itertools
from collections.abc import Iterable, Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from benchmarks.order import in_order
from benchmarks.page import Drawing, csv
from distill.runtime import identity

BOUNDS = {"naive": ":", "joint": "--"}
"""What others lie between, in black, with the style of its line."""
TINTS = (1.0, 0.6, 0.4, 0.25)
"""How much of its colour each further variant has."""


def palette(labels: Iterable[str]) -> dict[str, tuple]:
    """A colour for each label: what is known keeps its own in every figure.

    Variants of one are tints of its colour, in the order of `in_order`.
    """
    light, dark = sns.color_palette("colorblind", 10), sns.color_palette("dark", 10)
    free = [colour for colour in (*light, *dark) if colour not in _fixed(light, dark).values()]
    own, count, chosen = _fixed(light, dark), collections.Counter(), {}
    for label in in_order(labels):
        head = label.split()[0]
        if head not in own:
            own[head] = free.pop(0) if free else light[len(chosen) % 10]
        share = TINTS[min(count[head], len(TINTS) - 1)]
        chosen[label] = tuple(1 - share * (1 - part) for part in own[head])
        count[head] += 1
    return chosen


def _fixed(light: Sequence[tuple], dark: Sequence[tuple]) -> dict[str, tuple]:
    """Of what is known, from two palettes of ten."""
    return {
        "random": light[7],
        "reservoir": dark[6],
        "herding": light[1],
        "kcenter": light[8],
        "forgetting": light[6],
        "dc": dark[3],
        "dsa": light[3],
        "dm": light[2],
        "datadam": light[0],
        "trained": dark[4],
        "parameters": dark[7],
        "flops": dark[1],
        "synflow": dark[2],
        "jacob_cov": dark[9],
        "early-stopping": light[4],
        "whole": light[5],
        **dict.fromkeys(BOUNDS, (0.0, 0.0, 0.0)),
    }


def lines(
    axis: plt.Axes, frame: pd.DataFrame, names: Sequence[str], *, line: str, x: str, low: str
) -> None:
    """Accuracy against the column `x`, a line with its interval as a band for each of `names`.

    Of what has one point a large hollow mark over all others, with its interval as a bar.

    Args:
        frame: accuracy, the columns `low` and, with high in its place, the end of the interval, and
            what `line` (whose values are the names) and `x` call.
    """
    colours, shapes = palette(names), markers(names)
    for name in names:
        own = frame[frame[line] == name].sort_values(x)
        style = {"color": colours[name], "marker": shapes[name], "markersize": 5}
        style["linestyle"] = BOUNDS.get(name.split()[0], "-")
        ends = [own[column].astype(float) for column in (low, low.replace("low", "high"))]
        if len(own) == 1:
            style |= {"markersize": 11, "mfc": "none", "mew": 1.6, "zorder": 4}
            axis.vlines(own[x], *ends, colors=colours[name], lw=1.2, zorder=4)
        axis.plot(own[x], own["accuracy"], label=name, linewidth=1.6, **style)
        axis.fill_between(own[x], *ends, color=colours[name], alpha=0.12)


def markers(labels: Iterable[str]) -> dict[str, str]:
    """A marker for each label, in turn; after the last the first again."""
    return dict(zip(labels, itertools.cycle("osD^vPX*<>"), strict=False))


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
    shown = f"{drawing.draw.__name__} {drawing.title}\n{csv(drawing.frame)}"
    return identity.digest(shown.encode())
