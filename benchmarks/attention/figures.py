"""Figures of attention maps."""

import base64

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

MARKERS = "osD^v"
MAP = "inferno"
"""The colours of a map, dark to bright."""


def agreement(frame: pd.DataFrame) -> plt.Figure:
    """Mean correlations: a panel a layer, a group a norm, a point with its interval a scheme.

    Args:
        frame: a row a norm, initialisation and layer: norm, initialisation, layer, pixels; same,
            same low, same high (of the same image); other (of other images, drawn hollow).
    """
    layers, norms = sorted(frame["layer"].unique()), list(dict.fromkeys(frame["norm"]))
    schemes = list(dict.fromkeys(frame["initialisation"]))
    colours = dict(zip(schemes, sns.color_palette("colorblind", len(schemes)), strict=True))
    size = (4.4 * len(layers) + 0.6, 4.4)
    figure, axes = plt.subplots(
        1, len(layers), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, layer in zip(axes.flat, layers, strict=True):
        for place, scheme in enumerate(schemes):
            own = frame[(frame["layer"] == layer) & (frame["initialisation"] == scheme)]
            x = [
                norms.index(norm) + (place - (len(schemes) - 1) / 2) * 0.15 for norm in own["norm"]
            ]
            style = {"color": colours[scheme], "marker": MARKERS[place % len(MARKERS)]}
            ends = own["same"] - own["same low"], own["same high"] - own["same"]
            axis.errorbar(x, own["same"], yerr=ends, linestyle="", label=scheme, **style)
            axis.plot(x, own["other"], linestyle="", fillstyle="none", alpha=0.7, **style)
        for edge in range(1, len(norms)):
            axis.axvline(edge - 0.5, color="0.9", linewidth=1)
        pixels = frame[frame["layer"] == layer]["pixels"].iloc[0]
        axis.axhline(0, color="0.5", linewidth=1)
        axis.set(title=f"layer {layer} ({pixels} pixels)", xlim=(-0.5, len(norms) - 0.5))
        axis.set_xticks(range(len(norms)), norms)
        axis.xaxis.grid(False)
    axes[0][0].set_ylabel("mean correlation of two networks' maps")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    hollow = plt.Line2D([], [], color="0.4", marker="o", fillstyle="none", linestyle="")
    figure.legend(
        [*handles, hollow], [*labels, "other images"], loc="outside lower center", ncols=6
    )
    return figure


def maps(frame: pd.DataFrame) -> plt.Figure:
    """Images and their maps: a row an image; for each layer the mean map, then single networks'.

    Args:
        frame: a row a picture: image, what (`image`, `mean` or the number of a network), layer,
            shape (CxHxW), content (base64 of bytes by rows).
    """
    pictures = {
        (row.image, row.layer, row.what): _decoded(row.content, row.shape)
        for row in frame.itertuples()
    }
    images = sorted(frame["image"].unique())
    columns = list(dict.fromkeys((row.layer, row.what) for row in frame.itertuples()))
    gaps = [0.35 if what == "mean" else 0.06 for _, what in columns[1:]]
    cell, top, left = 1.0, 0.62, 0.05
    width = left + len(columns) * cell + sum(gaps) + 0.05
    height = top + len(images) * (cell + 0.06)
    figure = plt.figure(figsize=(width, height))
    for row, image in enumerate(images):
        x = left
        for place, (layer, what) in enumerate(columns):
            x += gaps[place - 1] if place else 0.0
            y = height - top - (row + 1) * cell - row * 0.06
            box = x / width, y / height, cell / width, cell / height
            axis = figure.add_axes(box)
            _panel(axis, pictures[image, 0, "image"], pictures[image, layer, what], layer)
            if row == 0:
                word = what if what in ("image", "mean") else f"network {what}"
                axis.set_title(word, fontsize=9, pad=4)
            if row == 0 and what == "mean":
                size = "{1}x{0}".format(*pictures[image, layer, what].shape[1:])
                axis.text(0, 1.33, f"layer {layer} ({size})", transform=axis.transAxes, fontsize=10)
            x += cell
    return figure


def _panel(axis: plt.Axes, image: np.ndarray, shown: np.ndarray, layer: int) -> None:
    """An image, or in grey with a map over it."""
    axis.set_axis_off()
    if not layer:
        axis.imshow(shown.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
        return
    grey = image.mean(0) if len(image) == 3 else image[0]
    edges = (0, 1, 1, 0)
    axis.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=edges)
    axis.imshow(shown[0], cmap=MAP, vmin=0, vmax=255, alpha=0.72, extent=edges)


def _decoded(content: str, shape: str) -> np.ndarray:
    """uint8 [C, H, W]."""
    size = tuple(map(int, shape.split("x")))
    return np.frombuffer(base64.b64decode(content), dtype=np.uint8).reshape(size)
