"""Figures of class-incremental learning."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import NullLocator

from benchmarks.figures import BOUNDS, lines, palette
from benchmarks.order import in_order


def curves(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy against the classes seen: a panel for each ipc, a line for each buffer.

    Args:
        frame: a row an ipc, buffer and step: ipc, buffer, classes, accuracy, low, high (the 95 %
            interval, drawn as a band).
    """
    sizes, buffers = sorted(frame["ipc"].unique()), in_order(frame["buffer"])
    columns = min(len(sizes), 4)
    rows = -(-len(sizes) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.7 * columns + 0.6, 3.7 * rows),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, ipc in zip(axes.flat, sizes, strict=False):
        own = frame[frame["ipc"] == ipc]
        lines(axis, own, buffers, line="buffer", x="classes", low="low")
        axis.set_xlabel("classes seen")
        if ipc:  # alone, what has none to choose
            axis.set_title(f"{ipc} {'image' if ipc == 1 else 'images'} a class")
        axis.set_xticks(sorted(frame["classes"].unique()))
    for axis in axes.flat[len(sizes) :]:
        axis.set_visible(False)
    axes[0][0].set_ylabel("accuracy on them (%)")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(
        [known[b] for b in buffers], buffers, loc="outside lower center", ncols=min(len(buffers), 6)
    )
    return figure


def by_memory(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy, and below it the difference to random images, by images a class and by bytes.

    Args:
        frame: a row a buffer and size: buffer, ipc, KiB, and, each with its low and high (the 95 %
            interval, drawn as a band), accuracy, images and bytes: the differences to as many
            random images and to random images of as many bytes. Of naive and joint ipc is empty.
    """
    bound = frame["buffer"].map(lambda label: label.split()[0] in BOUNDS)
    sized, buffers = frame[~bound], in_order(frame["buffer"][~bound])
    figure, axes = plt.subplots(
        2, 2, figsize=(10, 8), sharex="col", sharey="row", layout="constrained"
    )
    for column, (x, label, equal) in enumerate(
        [("ipc", "images per class", "images"), ("KiB", "memory (KiB)", "bytes")]
    ):
        top, bottom = axes[:, column]
        lines(top, sized, buffers, line="buffer", x=x, low="accuracy low")
        _across(top, frame[bound])
        ends = {f"{equal}{end}": f"accuracy{end}" for end in ("", " low", " high")}
        known = sized.drop(columns=ends.values()).rename(columns=ends).dropna(subset=["accuracy"])
        bottom.axhline(0, color="0.3", linewidth=1.2)
        lines(bottom, known, buffers, line="buffer", x=x, low="accuracy low")
        colours = known["buffer"].map(palette(buffers)).tolist()
        bottom.vlines(known[x], known["accuracy low"], known["accuracy high"], colours, lw=1.2)
        bottom.set(xlabel=label, title=f"minus random, as many {equal}")
        _logarithmic(bottom, sized[x].astype(float).tolist())
    axes[0][0].set_ylabel("final accuracy (%)")
    axes[1][0].set_ylabel("difference (points)")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 6))
    return figure


def _across(axis: plt.Axes, bounds: pd.DataFrame) -> None:
    """A line from side to side for each of what has no size."""
    for row in bounds.to_dict("records"):
        style = BOUNDS[row["buffer"].split()[0]]
        axis.axhline(row["accuracy"], color="black", linestyle=style, label=row["buffer"])
        if pd.notna(row["accuracy low"]):
            axis.axhspan(row["accuracy low"], row["accuracy high"], color="black", alpha=0.08)


def _logarithmic(axis: plt.Axes, values: list[float]) -> None:
    """A logarithmic x axis with plain numbers at it."""
    axis.set_xscale("log")
    ticks = [n * 10.0**power for power in range(-2, 7) for n in (1, 2, 5)]
    ticks = [tick for tick in ticks if 0.9 * min(values) <= tick <= 1.1 * max(values)]
    axis.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
