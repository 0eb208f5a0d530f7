"""The flags that commands share, with what there is to choose from; imports nothing heavy."""

from typing import Annotated

import tyro

from distill import datasets, presets
from distill.runtime import registry
from distill.runtime.flags import chosen

DEFAULT_DATASET = datasets.DEFAULT

Method = chosen("How the set is made", *registry.names("distill.methods"))
Dataset = chosen("Which images", *registry.names("distill.datasets"))
Preset = chosen("What the settings stand for", *presets.NAMES)
Device = Annotated[
    str, tyro.conf.arg(help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
]
Precision = chosen(
    "Of convolutions and matrix products; auto is bfloat16 where the processor multiplies it",
    *("auto", "float32", "bfloat16"),
)
Compile = chosen(
    "Whether long work goes through torch.compile; auto where that pays",
    *("auto", "always", "never"),
)
Workers = Annotated[
    int | None,
    tyro.conf.arg(
        help="Processes of one thread each, for what can be done side by side; as many as pay if "
        "not given."
    ),
]
