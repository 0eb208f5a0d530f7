"""What a record of the attention maps of random networks holds."""

from benchmarks import schema
from benchmarks.schema import Dataset, facts

VERSION = 1


@facts
class Protocol:
    """What figures of one page share.

    Attributes:
        network: whose norm is varied. power: p of the maps (`distill.objectives.attention`).
        source: of the images' normalisation.
    """

    dataset: Dataset
    network: str
    power: float
    source: str


@facts
class Cell:
    """What was drawn: images of each class, random networks, and the seed of both."""

    images: int
    networks: int
    seed: int
    norms: list[str]
    initialisations: list[str]


@facts
class LayerAgreement:
    """The agreement of the maps of one layer, in networks of one norm and initialisation.

    Attributes:
        layer: from 1. height, width: of the map.
        same: of each image, the mean correlation of its maps in two different networks.
        other: of each image, that of its map in one network with other images' in another.
        Both None where no two maps have a correlation, since they are constant.
    """

    norm: str
    initialisation: str
    layer: int
    height: int
    width: int
    same: list[float | None]
    other: list[float | None]


@facts
class Picture:
    """Numbers from 0 to 255, base64 of one byte each, by rows.

    Attributes:
        image: which of those that are drawn. what: `image`, `mean` (of all networks' maps) or the
            number of a network. layer: of a map; 0 of the image itself.
        shape: [C, H, W].
    """

    image: int
    what: str
    layer: int
    shape: list[int]
    content: str


@facts
class Results:
    """The agreement of all layers, and some maps to look at, of the first norm and scheme drawn."""

    layers: list[LayerAgreement]
    pictures: list[Picture]


def name(protocol: Protocol, cell: Cell) -> str:
    """`digits`."""
    return protocol.dataset.name


def versions(protocol: Protocol, cell: Cell) -> schema.Versions:
    """What a record was made with."""
    return schema.versions(None, protocol.dataset)
