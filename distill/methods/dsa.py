"""DSA (Zhao and Bilen, ICML 2021): DC with one augmentation for real and synthetic images alike."""

from torch import Tensor

from distill import presets
from distill.checkpoints import NONE, Checkpoints
from distill.gradients import Config as Config
from distill.gradients import match_gradients
from distill.images import About, ImageSet
from distill.methods.dc import laptop, published
from distill.runtime.compute import Compute
from distill.runtime.progress import Progress

VERSION = 1


def preset(about: About, ipc: int, name: str) -> Config:
    """laptop and paper: those of DC, augmented (`distill.methods.dc`).

    See the paper's Table 1 (CIFAR-10: 28.8, 52.1, 60.6 % at 1, 10, 50 images a class; networks
    trained on them by the recipe `dm`).
    """
    return published(about, ipc) if presets.require(name) == "paper" else laptop(about)


def distill(
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Learn `ipc` images of every class present; the dataset's operations augment them.

    See `distill.gradients.match_gradients`.
    """
    return match_gradients(
        real.about.operations,
        real,
        ipc,
        config=config,
        seed=seed,
        compute=compute,
        progress=progress,
        checkpoints=checkpoints,
    )
