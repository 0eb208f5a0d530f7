"""Make a synthetic set: python -m distill --method datadam --dataset cifar10 --ipc 1 --out FILE."""

import dataclasses
import sys
from pathlib import Path

from distill import choices
from distill.runtime.flags import configure, parse
from distill.runtime.mistake import Mistake, one_line

PROG = "python -m distill"


@dataclasses.dataclass(frozen=True)
class Distill:
    """Make a small set of images that trains a network like a whole dataset does.

    Flags of the method's own are written --method.NAME VALUE; `python -m distill --method datadam
    --help` lists them.
    """

    method: choices.Method = "datadam"
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: int = 1
    """Images per class."""
    preset: choices.Preset = "laptop"
    seed: int = 0
    """The same seed gives the same images."""
    zca: bool = False
    """Distill ZCA-whitened images, as the published CIFAR results do."""
    device: choices.Device = "auto"
    precision: choices.Precision = "auto"
    compile: choices.Compile = "auto"
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: int | None = None
    """Size in pixels, for a dataset of your own pictures."""
    out: Path = Path("runs/set.safetensors")
    """The file to write; FILE.png beside it shows the images."""
    export: Path | None = None
    """Also write the images as <class>/<number>.png into this folder."""


def main(args: list[str]) -> None:
    """Make the set that `args` describe and save it."""
    command, flags = parse(Distill, args, prog=PROG)

    # Only now what takes seconds to import.
    from distill import datasets
    from distill.images import whitened
    from distill.plan import Plan, distill
    from distill.runtime import registry
    from distill.runtime.compute import Compute
    from distill.runtime.files import require_writable
    from distill.runtime.progress import Progress

    module = registry.load("distill.methods", command.method)
    about = datasets.about(command.dataset, size=command.image_size)
    preset = module.preset(about, command.ipc, command.preset)
    config = configure(preset, flags, prog=PROG)
    compute = Compute.of(
        command.device, about.shape, precision=command.precision, compile=command.compile
    )
    if command.out.is_dir():
        raise Mistake(f"--out {command.out} is a folder; give the name of a file")
    require_writable(command.out.parent)
    if command.export is not None:
        require_writable(command.export)
    data = datasets.load(command.dataset, root=command.data_root, size=command.image_size)
    if command.zca:
        data = whitened(data)
    plan = Plan(command.method, config, command.ipc, command.seed)
    progress = Progress(sys.stderr)
    small = distill(plan, data.train, compute=compute, progress=progress)
    small.save(command.out)
    picture = command.out.with_suffix(command.out.suffix + ".png")
    small.grid(picture)
    print(f"{len(small)} images: {command.out}; to look at: {picture}")
    if command.export is not None:
        small.export(command.export)
        print(f"as pictures: {command.export}/<class>/<number>.png")


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
