"""Make a synthetic set; take others' sets in (import), give ours out (export).

python -m distill --method datadam --dataset cifar10 --ipc 1 --out FILE.safetensors
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import contextlib
import dataclasses
import functools
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from distill import choices
from distill.runtime import ranks
from distill.runtime.flags import configure, parse
from distill.runtime.mistake import Mistake, one_line, unknown

if TYPE_CHECKING:
    from distill.images import Data
    from distill.sets.beforehand import SetSource
    from distill.sets.finished import Asked
    from distill.synthetic import SyntheticSet

PROG = "python -m distill"
VERBS = {
    "import": "distill.interchange.importing",
    "export": "distill.interchange.exporting",
}
"""What else can be done with a set, and the file that does it."""


@dataclasses.dataclass(frozen=True)
class Distill:
    """Make a small set of images that trains a network like a whole dataset does.

    Flags of the method's own are written --method.NAME VALUE; `python -m distill --method datadam
    --help` lists them.

    python -m distill import --help: take a set that others published.
    python -m distill export --help: give a set to other programs.
    """

    method: choices.Method = "datadam"
    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: choices.Ipc = 1
    """Images per class."""
    preset: choices.Preset = "laptop"
    seed: choices.SetSeed = 0
    """The same seed gives the same images."""
    zca: bool = False
    """Distill ZCA-whitened images, as the published CIFAR results do; off unless given, whatever
    the preset, as in the released code."""
    device: choices.Device = "auto"
    precision: choices.Precision = "auto"
    compile: choices.Compile = "auto"
    deterministic: choices.Deterministic = False
    workers: choices.Workers = None
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: choices.ImageSize = None
    out: Path = Path("runs/set.safetensors")
    """The FILE.safetensors to write; FILE.safetensors.png beside it shows the images. One that
    holds another set is never replaced."""
    export: Path | None = None
    """Also write the images as <class>/<number>.png into this folder."""


@ranks.led()
def main(args: list[str]) -> None:
    """Make the set that `args` describe and save it, unless its file is there; or do a verb."""
    if args and args[0] in VERBS:
        if ranks.world() > 1:
            raise Mistake(f"{PROG} {args[0]} is done by one process; run it without torchrun")
        importlib.import_module(VERBS[args[0]]).main(args[1:])
        return
    if args and args[0] and args[0][0] not in "-{":
        raise unknown("verb", args[0], VERBS)
    command, flags = parse(Distill, args, prog=PROG)
    ready = prepare(command, flags)

    from distill.runtime.store import Store
    from distill.runtime.workers import Workers
    from distill.sets import beforehand, finished, parts

    plan, source, small, progress = ready.asked.plan, ready.source, ready.small, ranks.progress()
    kept = Store(parts.name(command.out))
    own = functools.partial(parts.files_of, plan, source.real, source.compute, kept)
    with (
        parts.beside(command.out, own, progress.say)
        if ranks.leading()
        else contextlib.nullcontext(),
        Workers(
            source,
            shape=source.real.shape,
            device=source.compute.device,
            progress=progress,
            given=command.workers,
        ) as workers,
    ):
        if ranks.decided(lambda: small is not None):
            progress.say(f"{command.out} is there and whole; it is not made again")
        else:
            beforehand.make([(plan, source.real.present)], source, workers)
            workers.close()
            if ranks.leading():
                small = source.distill(plan, progress=progress)
                finished.save(small, ready.asked, command.out, progress.say)
        if ranks.leading():
            show(small, command)


@dataclasses.dataclass(frozen=True)
class Ready:
    """A command whose every part has been checked.

    Attributes:
        asked: the set. source: what it is made of. small: the set, where its file is there.
    """

    asked: "Asked"
    source: "SetSource"
    small: "SyntheticSet | None"


def prepare(command: Distill, flags: list[str]) -> Ready:
    """Check the command, load its data, and see whether the file is there.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from distill import datasets, formation
    from distill.checks import require_ipc
    from distill.plan import Plan
    from distill.runtime import cores, origin, registry
    from distill.runtime.compute import Compute
    from distill.sets import disk, finished
    from distill.sets.beforehand import SetSource
    from distill.sets.parts import name
    from distill.whitening import whitened

    origin.ours()  # the code that runs, whatever is edited while data are loaded
    module, say = registry.load("distill.methods", command.method), ranks.progress().say
    about = datasets.about(command.dataset, size=command.image_size)
    preset = module.preset(about, command.ipc, command.preset)
    config = configure(preset, flags, prog=PROG, command=Distill)
    plan = Plan(command.method, config, command.ipc, command.seed)
    formation.require(plan.config.formation, about.shape)
    compute = Compute.of(
        command.device,
        about.shape,
        precision=command.precision,
        compile=command.compile,
        deterministic=command.deterministic,
        say=say,
    )
    cores.require(command.workers, compute.device)
    require_places(command)
    held = finished.read(command.out, say) if ranks.leading() else None
    ranks.meet(command.out.parent)
    with ranks.in_turn():
        data = loaded(command)
    require_ipc(data.train, command.ipc)
    images = {"the images": data.train.digest() if ranks.world() > 1 else ""}
    ranks.join(ranks.agreement(command, flags, compute, **images))
    real = whitened(data).train if command.zca else data.train
    asked = finished.Asked.of(plan, real, compute)
    small = finished.taken(held, asked, command.out, say)
    source = SetSource(real, compute, name(command.out))
    if ranks.leading() and small is None:
        disk.require(command.out.parent, [(plan, real.present)], source)
    return Ready(asked, source, small)


def loaded(command: Distill) -> "Data":
    """The images that the command names; test images may be missing, for none is looked at.

    Raises:
        Mistake: as `datasets.load`.
    """
    from distill import datasets

    return datasets.load(
        command.dataset, root=command.data_root, size=command.image_size, judged=False
    )


def require_places(command: Distill) -> None:
    """Check that files can be written where the command wants them.

    Raises:
        Mistake: they cannot.
    """
    from distill.runtime.files import require_file, require_writable
    from distill.sets import export

    require_file(command.out, (choices.ENDING,), what="a set")
    for folder in (command.out.parent, command.export):
        if folder is not None:
            require_writable(folder)
    if command.export is not None:
        export.require_room(command.export)


def show(small: "SyntheticSet", command: Distill) -> None:
    """Draw the set, export it if that was asked for, and say where all is."""
    picture = command.out.with_suffix(command.out.suffix + ".png")
    small.grid(picture)
    print(f"{len(small)} images: {command.out}; to look at: {picture}")
    if command.export is not None:
        small.export(command.export)
        print(f"as pictures: {command.export}/<class>/<number>.png")


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
