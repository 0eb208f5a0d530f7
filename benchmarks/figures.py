"""Figures, drawn with seaborn from the frames of `benchmarks.frames`."""

import hashlib
import io
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from PIL import Image

from benchmarks.frames import sorted_methods


def curves(frame: pd.DataFrame, title: str) -> bytes:
    """Accuracy against the classes seen: a panel for each ipc, a line for each buffer.

    Args:
        frame: a row a run and step: ipc, buffer, classes, accuracy. The band is one standard
            deviation over the runs.
        title: what comes after its first colon stands on a second line.

    Returns:
        The PNG; it holds the digest of `frame`, so that a stale figure is found out.
    """
    methods = sorted_methods(frame["buffer"])
    panels = frame["ipc"].nunique()
    with sns.axes_style("whitegrid"), sns.plotting_context("notebook"):
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
        grid.figure.suptitle(title.replace(": ", "\n"), y=1.02, va="bottom", fontsize=11)
        return _png(grid.figure, digest(frame, title))


def digest(frame: pd.DataFrame, title: str) -> str:
    """Of what a figure shows."""
    return hashlib.sha256((title + frame.to_csv(index=False)).encode()).hexdigest()


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
