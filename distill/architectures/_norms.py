"""The norms that the convolutional families share."""

from torch import nn

NORMS = ("none", "batch", "layer", "instance", "group")
WORDS = {**{norm: ("norm", norm) for norm in NORMS[1:]}, "nonorm": ("norm", "none")}
"""What a norm is called in a network's name, and what that chooses (`_names.chosen`)."""


def word(norm: str) -> str:
    """What `norm` is called in a network's name."""
    return "nonorm" if norm == "none" else norm


def norm_layer(norm: str, channels: int, height: int, width: int) -> nn.Module:
    """A norm for maps [B, channels, height, width].

    Instance norm is a group norm with a group a channel, `group` one with 4 groups. Both leave
    nothing of a map of a single pixel.
    """
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "layer":
        return nn.LayerNorm((channels, height, width))
    assert norm in ("instance", "group"), norm
    return nn.GroupNorm(channels if norm == "instance" else 4, channels)
