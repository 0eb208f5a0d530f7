"""Figures of networks trained on small sets alone."""

import textwrap

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import NullLocator

from benchmarks.figures import lines, palette
from benchmarks.order import in_order


def curves(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy against the epochs of the training: a panel for each ipc, a line for each method.

    Args:
        frame: a row an ipc, method and number of epochs: ipc, method, epochs, accuracy, accuracy
            low, accuracy high (the 95 % interval, drawn as a band).
    """
    sizes, methods = sorted(frame["ipc"].unique()), in_order(frame["method"])
    columns = min(len(sizes), 3)
    rows = -(-len(sizes) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(4.2 * columns, 5.5), 3.8 * rows),
        squeeze=False,
        layout="constrained",
    )
    for axis, ipc in zip(axes.flat, sizes, strict=False):
        own = frame[frame["ipc"] == ipc]
        lines(axis, own, methods, line="method", x="epochs", low="accuracy low")
        axis.set(title=f"{ipc} {'image' if ipc == 1 else 'images'} a class", xlabel="epochs")
        axis.set_xscale("log")
        ticks = sorted(own["epochs"].unique())
        axis.set_xticks(ticks, [f"{epochs:,}" for epochs in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
    for axis in axes.flat[len(sizes) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy (%)")
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(methods), 4))
    return figure


def networks(frame: pd.DataFrame) -> plt.Figure:
    """Accuracies by network: a panel for each ipc, a point with its interval for each method.

    Args:
        frame: a row an ipc, method and network: ipc, method, short (what the network is called),
            accuracy, accuracy low, accuracy high (the 95 % interval).
    """
    sizes, methods = sorted(frame["ipc"].unique()), in_order(frame["method"])
    names, colours = list(dict.fromkeys(frame["short"])), palette(methods)
    figure, axes = plt.subplots(
        len(sizes),
        1,
        figsize=(max(5.5, 1.6 * len(names) + 1), 3.8 * len(sizes)),
        squeeze=False,
        layout="constrained",
    )
    for axis, ipc in zip(axes.flat, sizes, strict=True):
        for place, method in enumerate(methods):
            own = frame[(frame["ipc"] == ipc) & (frame["method"] == method)]
            shift = (place - (len(methods) - 1) / 2) * 0.6 / max(len(methods) - 1, 1)
            x = [names.index(name) + shift for name in own["short"]]
            ends = own["accuracy"] - own["accuracy low"], own["accuracy high"] - own["accuracy"]
            style = {"fmt": "osD^vPX*"[place % 8], "color": colours[method], "capsize": 3}
            axis.errorbar(x, own["accuracy"], yerr=ends, label=method, markersize=6, **style)
        for edge in range(1, len(names)):
            axis.axvline(edge - 0.5, color="0.9", linewidth=1)
        axis.set_xticks(range(len(names)), [textwrap.fill(name, 16) for name in names])
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.xaxis.grid(False)
        axis.set_ylabel("accuracy (%)")
        axis.set_title(f"{ipc} {'image' if ipc == 1 else 'images'} a class")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(methods), 5))
    return figure


COLOURS = {"better": "tab:blue", "worse": "tab:red", "nothing": "0.45", "plain": "black"}
"""By what a difference shows."""


def forest(frame: pd.DataFrame) -> plt.Figure:
    """Differences to one row with their 95 % intervals, a line each, the accuracies at the right.

    Args:
        frame: a row a variant: name, difference, difference low, difference high, shown (a key of
            `COLOURS`; `plain` is the row itself, drawn at 0), accuracy (as text). Rows without a
            difference are left out.
    """
    rows = frame.dropna(subset=["difference"]).to_dict("records")
    texts = [textwrap.fill(row["name"], 40, break_on_hyphens=False) for row in rows]
    height = sum(max(1, text.count("\n") + 1) for text in texts)
    figure, axis = plt.subplots(figsize=(7.5, 1.4 + 0.3 * height), layout="constrained")
    axis.axvline(0, color="black", linewidth=1)
    for place, row in enumerate(rows):
        colour, middle = COLOURS[row["shown"]], row["difference"]
        ends = [row["difference low"], row["difference high"]]
        axis.plot(ends, [place, place], color=colour, linewidth=2)
        marker = "D" if row["shown"] == "plain" else "o"
        axis.plot([middle], [place], color=colour, marker=marker, markersize=6)
        at_right = axis.get_yaxis_transform()
        text = {"va": "center", "fontsize": 10, "color": colour}
        axis.text(1.02, place, row["accuracy"], transform=at_right, **text)
    axis.set_yticks(range(len(rows)), texts, fontsize=10)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.yaxis.grid(False)
    plain = next((row["name"] for row in rows if row["shown"] == "plain"), "")
    axis.set_xlabel(f"accuracy minus {plain}, in points (right: accuracy)")
    for shown in ("better", "nothing", "worse"):
        if any(row["shown"] == shown for row in rows):
            label = "nothing shown" if shown == "nothing" else f"shown to be {shown}"
            axis.plot([], [], color=COLOURS[shown], marker="o", label=label)
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
