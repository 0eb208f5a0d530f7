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
