"""Figures of networks trained on small sets alone."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import NullLocator

from benchmarks.figures import in_order, palette


def curves(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy against the epochs of the training: a panel for each ipc, a line for each method.

    Args:
        frame: a row an ipc, method and number of epochs: ipc, method, epochs, accuracy, accuracy
            low, accuracy high (the 95 % interval, drawn as a band).
    """
    sizes, methods = sorted(frame["ipc"].unique()), in_order(frame["method"])
    colours, markers = palette(methods), dict(zip(methods, "osD^vPX*<>" * 3, strict=False))
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
        for method in methods:
            part = own[own["method"] == method].sort_values("epochs")
            style = {"color": colours[method], "marker": markers[method], "markersize": 5}
            axis.plot(part["epochs"], part["accuracy"], label=method, linewidth=1.6, **style)
            band = part["accuracy low"].astype(float), part["accuracy high"].astype(float)
            axis.fill_between(part["epochs"], *band, color=colours[method], alpha=0.12)
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
