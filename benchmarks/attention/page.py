"""What results/ shows of the attention maps of random networks."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks import evidence
from benchmarks.attention import figures
from benchmarks.evidence import Estimate, Run
from benchmarks.made_with import made_with
from benchmarks.page import Drawing, Page, Table, interval, names_for_people
from benchmarks.record import Record
from benchmarks.reported import Reported

NOTE = """\
DataDAM's attention maps (sum over channels of |activation|^{power:g}) of {networks} random networks
of each norm and initialisation, {network} but for its norm, on {images} real images, before any
training. Pearson correlation of two maps, mean over all pairs of different networks; 1: all look at
the same pixels, 0: nothing in common. same image: of one image's maps, mean over the images with
its 95 % interval over these. other images: of an image's map in one network with the maps of all
other images in another: what borders and the usual place of things give alone. Both are of these
networks: the interval says how other images would do, not other networks. undefined: images of
which no two maps can be correlated, since they are the same everywhere. Batch norm sees all images
at once.
"""
MAPS = """\
Brighter: looked at more; each map is scaled to its own maximum. mean: of all networks' maps.
"""


def pages(records: Sequence[Record], reported: Sequence[Reported]) -> dict[str, Page]:
    """A page for each protocol: its latest record."""
    named = names_for_people(records, lambda r: f"attention-{r.protocol.dataset.name}")
    return {name: _page(max(own, key=_when)) for name, own in named.items()}


def _when(record: Record) -> tuple[str, str]:
    return record.provenance.date, record.key


def _page(record: Record) -> Page:
    protocol, cell = record.protocol, record.cell
    rows = [_row(layer) for layer in record.results.layers]
    tables = [_wide(rows, layer) for layer in sorted({row["layer"] for row in rows})]
    frame = pd.DataFrame([_numbers(row) for row in rows])
    where = f"{protocol.dataset.name}: attention maps of random networks"
    note = NOTE.format(
        power=protocol.power,
        networks=cell.networks,
        network=protocol.network,
        images=len(record.results.layers[0].same),
    )
    maps = pd.DataFrame([_drawn(picture) for picture in record.results.pictures])
    drawn = f"{where}, {cell.norms[0]} norm, {cell.initialisations[0]} initialisation"
    return Page(
        title=where,
        tables=tables,
        note=note + MAPS,
        frame=frame,
        summary=[_brief(rows, cell.initialisations[0])],
        drawings={
            "": Drawing(figures.agreement, frame, f"{where}: how far different networks agree"),
            "-maps": Drawing(figures.maps, maps, drawn),
        },
        commands=made_with([record]),
    )


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    """Over the images that have a value."""
    known = [Run(n, 0, 0, value) for n, value in enumerate(values) if value is not None]
    return evidence.estimate(known, within=(-1.0, 1.0)) if known else None


def _row(layer: Any) -> dict[str, Any]:
    return {
        "norm": layer.norm,
        "initialisation": layer.initialisation,
        "layer": layer.layer,
        "pixels": f"{layer.height}x{layer.width}",
        "same": _estimate(layer.same),
        "other": _estimate(layer.other),
        "undefined": sum(value is None for value in layer.same),
    }


def _wide(rows: Sequence[dict[str, Any]], layer: int) -> Table:
    """Of one layer: a row a norm, a column an initialisation."""
    own = [row for row in rows if row["layer"] == layer]
    norms = list(dict.fromkeys(row["norm"] for row in own))
    body: list[dict[str, Any]] = []
    for norm in norms:
        for what, words in (("same", "same image"), ("other", "other images")):
            cells = {
                row["initialisation"]: interval(row[what], decimals=2)
                for row in own
                if row["norm"] == norm
            }
            body.append({"norm": norm, "correlation with": words} | cells)
    undefined = sum(row["undefined"] for row in own)
    more = f"; undefined: {undefined}" if undefined else ""
    return Table(pd.DataFrame(body), caption=f"Layer {layer} ({own[0]['pixels']} pixels{more}):")


def _brief(rows: Sequence[dict[str, Any]], initialisation: str) -> Table:
    """Of one initialisation: a row a norm, two columns a layer."""
    body: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["initialisation"] == initialisation:
            own = body.setdefault(row["norm"], {"norm": row["norm"]})
            for what in ("same", "other"):
                own[f"layer {row['layer']}, {what}"] = interval(row[what], decimals=2)
    caption = (
        "Correlation of the maps that two networks have of the same image, and of other images; "
        f"initialisation {initialisation}, the others are on the whole page:"
    )
    return Table(pd.DataFrame(body.values()), caption=caption)


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the CSV file: plain numbers."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("same", "other"):
            parts = (value.mean, value.low, value.high) if value else (None, None, None)
            rounded = (part if part is None else round(part, 4) for part in parts)
            plain |= dict(zip((name, f"{name} low", f"{name} high"), rounded, strict=True))
        else:
            plain[name] = value
    return plain


def _drawn(picture: Any) -> dict[str, Any]:
    """A row of the figure of maps."""
    return {
        "image": picture.image,
        "what": picture.what,
        "layer": picture.layer,
        "shape": "x".join(map(str, picture.shape)),
        "content": picture.content,
    }
