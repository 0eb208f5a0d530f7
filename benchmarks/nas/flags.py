"""What can be asked of a command of architecture search."""

import dataclasses
from pathlib import Path
from typing import Annotated

from distill import choices
from distill.runtime.flags import Within


@dataclasses.dataclass(frozen=True)
class Nas:
    """Rank ConvNets by training them on a small proxy, and see how the whole dataset ranks them.

    Flags of the method's own are written --method.NAME VALUE; `python -m benchmarks.nas --method
    datadam --help` lists them.
    """

    proxy: str = "distilled"
    """What networks are tried on: any method (random, herding, ...), distilled (see --method),
    early-stopping (the whole dataset for as many steps as the others get), whole. Nothing is
    trained for parameters and flops (the larger network is ranked higher), synflow and jacob_cov
    (a score of its random weights)."""
    method: str | None = None
    """How --proxy distilled is made: one of the files in distill/methods; datadam if not given.
    --method.network space learns in networks drawn from the space that is ranked."""
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: choices.Ipc | None = None
    """Images per class in the proxy, or of one that early-stopping trains as long as; 10 if not
    given."""
    networks: str | None = None
    """How many of the space are ranked (a fixed sample), or all; the preset's if not given."""
    space: str | None = None
    """laptop (widths 8 to 64) or paper (32 to 256), each of 720 ConvNets, or FILE.py, which holds
    an NNI ModelSpace of your own and is executed; the preset's if not given."""
    recipe: choices.Recipe = None
    epochs: choices.Epochs = None
    """Of the training on the proxy; the recipe's, or else the preset's if not given."""
    strategy: str = "grid"
    """grid ranks the sample; random, evolution and tpe search the space with --trials trials."""
    trials: int | None = None
    """How many networks a search tries; 40, or all of a smaller space, if not given."""
    engine: str = "in-process"
    """in-process (on as many processes as pay), or service (NNI's training service)."""
    engine_config: Path | None = None
    """NNI's own configuration file, for a remote or Kubernetes service."""
    concurrency: Annotated[int | None, Within(1, 1000)] = None
    """Trials at once on a local service; 2 if not given."""
    port: Annotated[int, Within(1, 65535)] = 8080
    """Of the service's server, which listens on this machine alone."""
    truth: Path | None = None
    """A record of --proxy whole to compare with; if not given, one that fits is looked for, and
    what is missing is trained."""
    preset: choices.Preset = "laptop"
    seed: choices.Seed = 0
    """Of the proxy's images and trainings; the sample and the ground truth do not depend on it."""
    device: choices.Device = "auto"
    precision: choices.Precision = "auto"
    compile: choices.Compile = "auto"
    deterministic: choices.Deterministic = False
    workers: choices.Workers = None
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: choices.ImageSize = None
    out: Path = Path("runs")
    """Where the record, the finished trials, the sets and the figures go."""
