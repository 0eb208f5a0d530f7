"""Figures of class-incremental learning."""

import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.figures import in_order, lines


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
