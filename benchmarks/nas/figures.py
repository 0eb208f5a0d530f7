"""Figures of architecture search."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from benchmarks.figures import markers, palette
from benchmarks.nas.importance import SHOWN
from benchmarks.order import in_order
from distill.architectures.convnet import NORMS, POOLINGS


def correlation(frame: pd.DataFrame) -> plt.Figure:
    """Spearman's correlation by proxy, with intervals; a cross where a value is published.

    A proxy that has none over a share keeps its row there, empty.

    Args:
        frame: a row a proxy and share of the networks: proxy, networks, value, low, high, reported.
    """
    panels, labels = list(frame["networks"].unique()), in_order(frame["proxy"])
    colours = palette(labels)
    size = (5 * len(panels), 1.2 + 0.32 * len(labels))
    figure, axes = plt.subplots(
        1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, share in zip(axes[0], panels, strict=True):
        part = frame[frame["networks"] == share].set_index("proxy").reindex(labels).reset_index()
        for row in part.itertuples():
            span = _span(row)
            style = {"fmt": "o", "color": colours[row.proxy], "capsize": 4, "label": row.proxy}
            axis.errorbar([row.value], [row.proxy], xerr=span, **style)
        known = part.dropna(subset="reported")
        if len(known):
            axis.scatter(known["reported"], known["proxy"], marker="x", color="black", zorder=3)
        axis.set(title=share, xlabel="Spearman's correlation", ylabel="")
        axis.locator_params(axis="x", nbins=6)
        axis.margins(y=0.12)
    axes[0][0].invert_yaxis()
    if frame["reported"].notna().any():  # below the panels: inside, it would lie on a proxy's row
        cross = plt.Line2D([], [], marker="x", color="black", linestyle="none")
        figure.legend([cross], ["published, at full scale"], loc="outside lower center", fontsize=9)
    return figure


def scatter(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy on the whole dataset against accuracy on the proxy, coloured by an axis.

    Args:
        frame: a row a proxy and network: proxy, accuracy, truth, and its options on one axis or
            two, which tell the colour and the marker.
    """
    labels, shown = in_order(frame["proxy"]), frame.columns[4:]
    known = {"norm": NORMS, "pooling": list(POOLINGS)}
    orders = [
        sorted(set(frame[axis]), key=known[axis].index if axis in known else str) for axis in shown
    ]
    grid = sns.relplot(
        frame,
        x="accuracy",
        y="truth",
        hue=shown[0],
        hue_order=orders[0],
        style=shown[-1],
        style_order=orders[-1],
        col="proxy",
        col_order=labels,
        col_wrap=min(len(labels), 3),
        palette="colorblind",
        height=3.6,
        s=28,
        alpha=0.75,
        linewidth=0,
        facet_kws={"sharex": False},
    )
    grid.set_axis_labels("accuracy on the proxy (%)", "on the whole dataset (%)")
    grid.set_titles("{col_name}")
    return grid.figure


def growth(frame: pd.DataFrame) -> plt.Figure:
    """How Spearman's correlation grows with the training on the proxy.

    Args:
        frame: a row a proxy and look: proxy, steps, spearman.
    """
    labels = in_order(frame["proxy"])
    colours, shapes = palette(labels), markers(labels)
    figure, axis = plt.subplots(figsize=(7, 4.4), layout="constrained")
    for name in labels:
        part = frame[frame["proxy"] == name].sort_values("steps")
        style = {"color": colours[name], "marker": shapes[name], "markersize": 5}
        axis.plot(part["steps"], part["spearman"], label=name, **style)
    axis.set(xlabel="training steps on the proxy", ylabel="Spearman's correlation, all networks")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda steps, place: f"{steps:g}")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure


def importance(frame: pd.DataFrame) -> plt.Figure:
    """How much each axis decides, of the truth (the line, its interval the band) and of proxies.

    Below it, where a proxy loses its correlation.

    Args:
        frame: of `benchmarks.nas.importance.known`.
    """
    shown = list(frame["axis"].unique())[:SHOWN]
    measures, proxies = list(frame["measure"].unique()), in_order(frame["proxy"][~frame["truth"]])
    colours = palette(proxies)
    size = (1.6 + 2.1 * len(shown), len(measures) * (1.1 + 0.27 * len(proxies)))
    figure, panels = plt.subplots(
        len(measures), len(shown), figsize=size, sharey=True, sharex="row", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for measure, row in zip(measures, panels, strict=True):
        for axis, panel in zip(shown, row, strict=True):
            part = frame[(frame["measure"] == measure) & (frame["axis"] == axis)]
            for own in part[~part["truth"]].itertuples():
                style = {"fmt": "o", "color": colours[own.proxy], "capsize": 3, "markersize": 5}
                panel.errorbar([own.value], [own.proxy], xerr=_span(own), **style)
            for own in part[part["truth"]].itertuples():
                panel.axvline(own.value, color="black", linewidth=1.2)
                panel.axvspan(own.low, own.high, color="black", alpha=0.15, linewidth=0)
            panel.locator_params(axis="x", nbins=4)
            panel.margins(y=0.08)
        most = frame["high"][frame["measure"] == measure].max() or 1.0
        row[0].set_xlim(-0.04 * most, 1.04 * most)
        row[len(shown) // 2].set_xlabel(measure)
    for axis, panel in zip(shown, panels[0], strict=True):
        panel.set_title(axis)
    panels[0][0].invert_yaxis()
    if frame["truth"].any():
        line = plt.Line2D([], [], color="black")
        figure.legend([line], ["the whole dataset"], loc="outside lower left", fontsize=9)
    return figure


def _span(row: Any) -> list[list[float]]:
    """How far an interval reaches below and above a value, which can lie beyond an end of it."""
    return [[max(row.value - row.low, 0)], [max(row.high - row.value, 0)]]
