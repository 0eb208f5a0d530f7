"""Figures, drawn with seaborn from the frames of `benchmarks.frames`."""

import hashlib
import io
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from PIL import Image

from benchmarks.frames import sorted_methods
from benchmarks.pages import Drawing
from distill.networks import NORMS, POOLINGS


def draw(drawing: Drawing) -> bytes:
    """The PNG of a figure; it holds the digest of what it shows, so that a stale one is found out.

    What comes after the first colon of the title stands on a second line.
    """
    functions = {
        f.__name__: f for f in (curves, correlation, scatter, growth, cost_growth, tradeoff)
    }
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
        figure = functions[drawing.kind](drawing.frame)
        title = drawing.title.replace(": ", "\n", 1)
        figure.suptitle(title, y=1.02, va="bottom", fontsize=11)
        return _png(figure, digest(drawing))


def curves(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy against the classes seen: a panel for each ipc, a line for each buffer.

    Args:
        frame: a row a run and step: ipc, buffer, classes, accuracy. The band is one standard
            deviation over the runs.
    """
    methods = sorted_methods(frame["buffer"])
    panels = frame["ipc"].nunique()
    grid = sns.relplot(
        frame,
        x="classes",
        y="accuracy",
        hue="buffer",
        hue_order=methods,
        style="buffer",
        style_order=methods,
        markers=True,
        dashes=False,
        col="ipc",
        col_wrap=min(panels, 4),
        kind="line",
        errorbar="sd",
        palette=sns.color_palette("colorblind", len(methods)),
        height=3.6,
        aspect=1.0 if panels > 1 else 1.3,
        facet_kws={"sharey": True},
    )
    grid.set_axis_labels("classes seen", "accuracy on them (%)")
    grid.set_titles("{col_name} per class")
    grid.set(xticks=sorted(frame["classes"].unique()))
    return grid.figure


def correlation(frame: pd.DataFrame) -> plt.Figure:
    """Spearman's correlation by proxy, with intervals; a cross where a value is published.

    Args:
        frame: a row a proxy and share of the networks: proxy, networks, value, low, high, reported.
    """
    panels = list(frame["networks"].unique())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5 * len(panels), 3.4), sharey=True, layout="constrained"
    )
    for axis, share in zip(axes, panels, strict=True):
        part = frame[frame["networks"] == share].reset_index(drop=True)
        spans = [part["value"] - part["low"], part["high"] - part["value"]]
        colours = sns.color_palette("colorblind", len(part))
        for row in part.itertuples():
            span = [[s[row.Index]] for s in spans]
            style = {"fmt": "o", "color": colours[row.Index], "capsize": 4}
            axis.errorbar([row.value], [row.proxy], xerr=span, **style)
        known = part.dropna(subset="reported")
        if len(known):
            axis.scatter(known["reported"], known["proxy"], marker="x", color="black", zorder=3)
        axis.set(title=share, xlabel="Spearman's correlation", ylabel="")
        axis.locator_params(axis="x", nbins=6)
    axes[0].invert_yaxis()
    if frame["reported"].notna().any():  # below the panels: inside, it would lie on a proxy's row
        cross = axes[0].scatter([], [], marker="x", color="black")
        figure.legend([cross], ["published, at full scale"], loc="outside lower center", fontsize=9)
    return figure


def scatter(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy on the whole dataset against accuracy on the proxy, coloured by the norm.

    Args:
        frame: a row a proxy and network: proxy, accuracy, truth, norm, pooling.
    """
    panels = frame["proxy"].nunique()
    grid = sns.relplot(
        frame,
        x="accuracy",
        y="truth",
        hue="norm",
        hue_order=[norm for norm in NORMS if norm in set(frame["norm"])],
        style="pooling",
        style_order=[pooling for pooling in POOLINGS if pooling in set(frame["pooling"])],
        col="proxy",
        col_wrap=min(panels, 3),
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
        frame: a row a proxy and look: proxy, steps, spearman, low, high.
    """
    methods = sorted_methods(frame["proxy"])
    colours = dict(zip(methods, sns.color_palette("colorblind", len(methods)), strict=True))
    figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for name in methods:
        part = frame[frame["proxy"] == name].sort_values("steps")
        axis.plot(part["steps"], part["spearman"], "o-", color=colours[name], label=name)
        axis.fill_between(part["steps"], part["low"], part["high"], color=colours[name], alpha=0.1)
    axis.set(xlabel="training steps on the proxy", ylabel="Spearman's correlation, all networks")
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(frame["steps"].unique()), sorted(frame["steps"].unique()))
    axis.legend(fontsize=9)
    return figure


def cost_growth(frame: pd.DataFrame) -> plt.Figure:
    """Time of a step against each size, with the floor of arithmetic.

    Args:
        frame: a row a size: varied, count, ms, floor ms.
    """
    long = frame.rename(columns={"ms": "measured", "floor ms": "arithmetic alone"}).melt(
        ["varied", "count"], value_name="ms", var_name="time"
    )
    grid = sns.relplot(
        long,
        x="count",
        y="ms",
        hue="time",
        style="time",
        col="varied",
        kind="line",
        markers=True,
        dashes=False,
        palette="colorblind",
        height=3.4,
        facet_kws={"sharex": False, "sharey": False},
    )
    grid.set(xlim=(0, None), ylim=(0, None))
    grid.set_titles("")
    for name, axis in grid.axes_dict.items():
        axis.set_xlabel(name)
    grid.set_axis_labels(y_var="ms a step")
    return grid.figure


def tradeoff(frame: pd.DataFrame) -> plt.Figure:
    """Accuracy against the seconds that making a set took: a line for each kind of targets.

    Args:
        frame: a row a record: ipc, targets, seconds, accuracy, error.
    """
    kinds = sorted(frame["targets"].unique(), key=lambda name: (name != "fresh", len(name), name))
    colours = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    panels = sorted(frame["ipc"].unique())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 3.8), squeeze=False, layout="constrained"
    )
    for axis, ipc in zip(axes[0], panels, strict=True):
        for name in kinds:
            part = frame[(frame["ipc"] == ipc) & (frame["targets"] == name)].sort_values("seconds")
            axis.errorbar(
                part["seconds"],
                part["accuracy"],
                yerr=part["error"],
                fmt="o-",
                color=colours[name],
                label=name,
                capsize=3,
                markersize=4,
            )
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        title = f"{ipc} {'image' if ipc == 1 else 'images'} a class"
        axis.set(title=title, xlabel="seconds to make a set")
    axes[0][0].set_ylabel("accuracy (%)")
    axes[0][-1].legend(fontsize=8)
    return figure


def digest(drawing: Drawing) -> str:
    """Of what a figure shows."""
    shown = drawing.kind + drawing.title + drawing.frame.to_csv(index=False)
    return hashlib.sha256(shown.encode()).hexdigest()


def drawn_from(path: Path) -> str | None:
    """The digest that a figure's file holds, or None."""
    if not path.exists():
        return None
    with Image.open(path) as picture:
        return picture.info.get("Source")


def _png(figure: plt.Figure, source: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Source": source})
    plt.close(figure)
    return buffer.getvalue()
