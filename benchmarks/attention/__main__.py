"""Where random networks look on real images, and how far they agree: DataDAM's attention maps.

python -m benchmarks.attention --dataset cifar10
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmarks import command as shared
from distill import choices
from distill.runtime import ranks
from distill.runtime.flags import Within, cli
from distill.runtime.mistake import Mistake, one_line

if TYPE_CHECKING:
    from benchmarks.attention.run import Looking
    from benchmarks.record import Record
    from benchmarks.schema import Provenance
    from distill.images import Data

PROG = "python -m benchmarks.attention"
MOST = 1000
"""Images at once: batch norm needs them all."""


@dataclasses.dataclass(frozen=True)
class Attention:
    """Draw attention maps of random ConvNets of every norm and initialisation, and measure how far
    those of different networks on the same image agree.
    """

    dataset: choices.Dataset = choices.DEFAULT_DATASET
    ipc: choices.Ipc = 10
    """Real images of each class."""
    networks: Annotated[int, Within(2, 10_000)] = 20
    """Random networks of each norm and initialisation."""
    width: Annotated[int, Within(4, 4096)] = 128
    """Channels of each layer; divisible by 4."""
    power: float = 4
    """p of the attention maps; 4 in the paper, 1 in the released code."""
    seed: choices.Seed = 0
    """The same seed gives the same record."""
    device: choices.Device = "auto"
    data_root: Path = Path("data")
    """Folder of the images; downloads go there."""
    image_size: choices.ImageSize = None
    out: Path = Path("runs")
    """Where the record and the figures go."""


@ranks.led()
def main(args: list[str]) -> None:
    """Measure what `args` ask for, write the record, print its tables and draw its figures."""
    command = cli(Attention, args, prog=PROG)
    if not 0 < command.power <= 100:
        raise Mistake(f"--power {command.power:g}: give above 0 and at most 100")
    if command.width % 4:
        raise Mistake(f"--width {command.width}: group norm has 4 groups; give a multiple of 4")
    data, looking = prepare(command)

    from benchmarks.provenance import provenance

    begun = provenance("benchmarks.attention", args, looking.compute.device)
    shared.publish(run(command, data, looking, begun), command.out)


def prepare(command: Attention) -> "tuple[Data, Looking]":
    """Check the command and load its images.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks.attention.run import Looking, choose
    from distill.architectures.convnet import NORMS, Spec
    from distill.networks import INITIALISATIONS

    about = shared.about(command)
    require_few(command.ipc, len(about.classes or ()))  # a user's folder says it when it is read
    data, compute = shared.load(command)
    require_few(command.ipc, len(data.train.classes))
    norms = sorted(NORMS, key=lambda norm: norm != "instance")  # the published one is drawn
    looking = Looking(
        chosen=choose(data.train, command.ipc, command.seed),
        network=Spec(depth=about.depth, width=command.width),
        norms=norms,
        initialisations=INITIALISATIONS,
        count=command.networks,
        seed=command.seed,
        power=command.power,
        compute=compute,
    )
    return data, looking


def require_few(ipc: int, classes: int) -> None:
    """Check the number of images.

    Raises:
        Mistake: they are too many.
    """
    images = ipc * classes
    if images > MOST:
        raise Mistake(f"--ipc {ipc} is {images} images in all; give at most {MOST}")


def run(command: Attention, data: "Data", looking: "Looking", provenance: "Provenance") -> "Record":
    """Measure, and gather the record."""
    from benchmarks.attention import facts
    from benchmarks.attention.run import results
    from benchmarks.provenance import Stopwatch, cost
    from benchmarks.record import Record

    watch = Stopwatch()
    measured = results(looking, ranks.progress())
    watch.lap("measure")
    return Record(
        kind="attention",
        version=facts.VERSION,
        label="attention",
        protocol=facts.Protocol(
            dataset=shared.dataset_used(data),
            network=str(looking.network),
            power=looking.power,
            source=looking.chosen.normalisation.source,
        ),
        cell=facts.Cell(
            images=command.ipc,
            networks=looking.count,
            seed=looking.seed,
            norms=list(looking.norms),
            initialisations=list(looking.initialisations),
        ),
        results=measured,
        sets=[],
        cost=cost(watch.seconds, looking.compute.device),
        provenance=provenance,
    )


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
