"""Make a synthetic set: python -m distill --method datadam --dataset cifar10 --ipc 1 --out FILE."""

import dataclasses
import sys
from pathlib import Path

from distill.mistake import one_line
from distill.overrides import configure, parse

PROG = "python -m distill"


@dataclasses.dataclass(frozen=True)
class Distill:
    """Make a small set of images that trains a network like a whole dataset does.

    Flags of the method's own are written --method.NAME VALUE; `python -m distill --method datadam
    --help` lists them.
    """

    method: str = "datadam"
    """How the set is made: one of the files in distill/methods."""
    dataset: str = "digits"
    """Which images: digits (embedded), cifar10, cifar100, or folder (your own)."""
    ipc: int = 1
    """Images per class."""
    preset: str = "laptop"
    """laptop (minutes on two cores) or paper (the published configuration)."""
    seed: int = 0
    """The same seed gives the same images."""
    zca: bool = False
    """Distil ZCA-whitened images, as the published CIFAR results do."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for --dataset folder."""
    out: Path = Path("runs/set.safetensors")
    """The file to write; FILE.png beside it shows the images."""
    export: Path | None = None
    """Also write the images as <class>/<number>.png into this folder."""


def main(args: list[str]) -> None:
    """Make the set that `args` describe and save it."""
    command, flags = parse(Distill, args, prog=PROG)

    # Only now what takes seconds to import.
    from distill import datasets, registry
    from distill.device import choose, tune
    from distill.files import require_writable
    from distill.images import whitened
    from distill.progress import Progress

    registry.require("datasets", command.dataset)
    config, _ = configure(
        command.method, command.dataset, command.ipc, command.preset, flags, prog=PROG
    )
    device = choose(command.device)
    require_writable(command.out.parent)
    data = datasets.load(command.dataset, root=command.data_root, size=command.image_size)
    tune(device, data.train.shape)
    if command.zca:
        data = whitened(data)
    made = registry.load("methods", command.method).distill(
        data.train,
        command.ipc,
        config=config,
        seed=command.seed,
        device=device,
        progress=Progress(sys.stderr),
    )
    made.save(command.out)
    picture = command.out.with_suffix(command.out.suffix + ".png")
    made.grid(picture)
    print(f"{len(made)} images: {command.out}; to look at: {picture}")
    if command.export is not None:
        made.export(command.export)
        print(f"as pictures: {command.export}/<class>/<number>.png")


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
