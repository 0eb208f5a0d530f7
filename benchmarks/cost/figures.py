"""Figures of costs."""

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.figures import palette

COLUMNS = ("varied", "count", "ms", "floor ms")
"""Of a table that is drawn."""
LINES = {"ms": "measured", "floor ms": "convolutions alone"}


def cost_growth(frame: pd.DataFrame) -> plt.Figure:
    """Time of a step against each size, with its floor: a panel for what is varied.

    Args:
        frame: a row a size, with the `COLUMNS`.
    """
    panels = list(frame["varied"].unique())
    colours = palette(LINES.values())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.7 * len(panels) + 0.6, 3.9), squeeze=False, layout="constrained"
    )
    for axis, varied in zip(axes[0], panels, strict=True):
        part = frame[frame["varied"] == varied].sort_values("count")
        for (column, name), marker in zip(LINES.items(), "oX", strict=True):
            style = {"color": colours[name], "marker": marker, "label": name}
            axis.plot(part["count"], part[column], linewidth=1.6, **style)
        axis.set(xlabel=varied, xlim=(0, None), ylim=(0, None))
    axes[0][0].set_ylabel("ms a step")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
