"""Give a set to other programs: python -m distill export SET --to FOLDER."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from distill.runtime.flags import cli
from distill.runtime.mistake import Mistake, unknown

if TYPE_CHECKING:
    from distill.synthetic import SyntheticSet

PROG = "python -m distill export"
FILES = {"pt": "set.pt", "parquet": "set.parquet", "sheet": "sheet.png"}
"""The kinds that are one file, and its name."""
PICTURES = "pictures"
"""The kind that is a folder, and its name."""
KINDS = (PICTURES, *FILES)
PYARROW = "parquet needs pyarrow; run: pip install pyarrow"


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a set for other programs: pictures, a .pt file, a parquet file, a sheet of all images.

    Of a set with several smaller images in the place of one, what a network is shown is written;
    the sheet has the stored images.
    """

    set: tyro.conf.Positional[Path]
    """The set's file, of python -m distill or python -m distill import."""
    to: Path
    """A folder for pictures/<class>/<number>.png, set.pt, set.parquet and sheet.png: empty, not
    there yet, or of an earlier export, whose files of the kinds asked for are replaced."""
    kind: str | None = None
    """Some of pictures,pt,parquet,sheet with commas between; all if not given. In pictures and
    parquet pixels have 8 bits, and what lies beyond 0..1 is lost. parquet needs pyarrow."""


def main(args: list[str]) -> None:
    """Write what `args` ask for, and say where it is."""
    command = cli(Export, args, prog=PROG)
    kinds = asked(command.kind)

    from distill.runtime.files import write_atomically
    from distill.synthetic import SyntheticSet

    small = SyntheticSet.load(command.set)
    require_free(command.to)
    if PICTURES in kinds:
        small.export(command.to / PICTURES)
        print(f"{command.to / PICTURES}/<class>/<number>.png")
    for kind in kinds:
        if kind in FILES:
            path = command.to / FILES[kind]
            write_atomically(path, WRITERS[kind](small))
            print(path)
    if command.kind is None and "parquet" not in kinds:
        print(f"no {FILES['parquet']}: {PYARROW}")


def asked(kind: str | None) -> list[str]:
    """The kinds to write; of all, one for which a library is missing is left out.

    Raises:
        Mistake: no such kind, or one that is asked for and for which a library is missing.
    """
    kinds = list(KINDS) if kind is None else list(dict.fromkeys(kind.split(",")))
    for one in kinds:
        if one not in KINDS:
            raise unknown("kind", one, KINDS)
    if "parquet" in kinds:
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            if kind is not None:
                raise Mistake(f"{PYARROW}, or leave parquet out of --kind") from error
            kinds.remove("parquet")
    return kinds


def require_free(folder: Path) -> None:
    """Check that a folder is empty, not there yet, or holds an earlier export alone.

    Raises:
        Mistake: it holds something else, or cannot be made or written to.
    """
    from distill.runtime.files import require_writable
    from distill.sets import export

    require_writable(folder)
    held = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in held:
        if name in FILES.values():
            export.require_ours(folder / name)
        elif name != PICTURES:
            raise Mistake(
                f"{folder} holds {name}, which is of no earlier export; name a folder that is "
                "empty or not there yet"
            )
    if PICTURES in held:
        export.require_room(folder / PICTURES)


def torch_file(small: "SyntheticSet") -> bytes:
    """`{'data': [[images, labels]], ...}` as DC and its followers save sets: plain tensors.

    Images are float32 [M, C, H, W] in pixel units and not clipped, labels int64 [M].
    """
    import torch

    from distill.interchange import formats
    from distill.sets.export import MARK

    images, labels = small.decoded()
    held = {
        "software": MARK,
        "data": [[images.contiguous(), labels]],
        formats.PIXELS: formats.RAW,
        "classes": list(small.classes),
        "dataset": small.made.dataset["name"],
        "method": small.made.method,
    }
    buffer = io.BytesIO()
    torch.save(held, buffer)
    return buffer.getvalue()


def parquet(small: "SyntheticSet") -> bytes:
    """A row an image: `image` {bytes (PNG), path} and `label`, which the schema explains.

    The key `huggingface` of the schema says that they are an Image and a ClassLabel, with the names
    of the classes.
    """
    import json

    import pyarrow
    import pyarrow.parquet

    from distill.sets import export

    images, labels = small.decoded()
    rows = [
        {"bytes": export.png(image), "path": f"{number:05}.png"}
        for number, image in enumerate(images)
    ]
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(small.classes), "_type": "ClassLabel"},
    }
    kept = {"huggingface": json.dumps({"info": {"features": features}}), "software": export.MARK}
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("image", picture), ("label", pyarrow.int64())], metadata=kept)
    table = pyarrow.Table.from_pydict({"image": rows, "label": labels.tolist()}, schema=schema)
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def sheet(small: "SyntheticSet") -> bytes:
    """All stored images in one PNG."""
    from distill.sets.export import MARK

    return small.sheet(mark=MARK)


WRITERS: dict[str, Callable[["SyntheticSet"], bytes]] = {
    "pt": torch_file,
    "parquet": parquet,
    "sheet": sheet,
}
"""What is written into each of `FILES`."""
