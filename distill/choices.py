"""The flags that commands share, with what there is to choose from; imports nothing heavy."""

from typing import Annotated

import tyro

from distill import datasets, presets
from distill.runtime.flags import Among, Assumed, Within, chosen

DEFAULT_DATASET = datasets.DEFAULT

ENDING = ".safetensors"
"""Of a set's file."""
Method = chosen("How the set is made", package="distill.methods")
MethodOrSet = chosen("How the set is made", package="distill.methods", file=ENDING)
Dataset = chosen("Which images", package="distill.datasets")
Preset = chosen("What the settings stand for", *presets.NAMES)
Recipe = Annotated[
    str | None,
    tyro.conf.arg(
        help="How networks are trained on a set: dm (the field's), idc (with CutMix), short (dm in "
        "fewer epochs), dc (DC's: 300 epochs, no DSA); as the preset has it if not given."
    ),
    Among(presets.RECIPES),
]
Device = Annotated[
    str, tyro.conf.arg(help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
]
Precision = chosen(
    "Of convolutions and matrix products; auto is bfloat16 where the processor multiplies it",
    *("auto", "float32", "bfloat16"),
)
Compile = chosen(
    "Whether long work on sets, and networks that judge them, go through torch.compile (on CUDA: "
    "are kept as graphs); auto where that pays",
    *("auto", "always", "never"),
)
Deterministic = Annotated[
    bool,
    tyro.conf.arg(
        help="Have a GPU give the same bits twice, which takes longer. On a CPU the same command "
        "gives the same bits anyway."
    ),
]
Workers = Annotated[
    int | None,
    tyro.conf.arg(
        help="Processes of one thread each, for what can be done side by side; as many as pay if "
        "not given."
    ),
    Within(1, 1000),
]
ImageSize = Annotated[
    int | None,
    tyro.conf.arg(help="Size in pixels, for a dataset of your own pictures."),
    Assumed(lambda command: datasets.usual_size(command.dataset)),
]
Ipc = Annotated[int, Within(1, 1_000_000)]
Seed = Annotated[int, Within(0, 2**32 - 1)]
SetSeed = Annotated[int, Within(0, 2**63 - 1)]
"""Of one set: also those that a benchmark derives for its sets, which its records name."""
Count = Annotated[int, Within(1, 10_000)]
"""Of sets, class orders, networks."""
Epochs = Annotated[int | None, Within(1, 1_000_000)]
