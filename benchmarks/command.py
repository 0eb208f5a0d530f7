"""What commands of all kinds share: what is checked and loaded first, what is shown last."""

import importlib
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.runtime import identity, origin, ranks

if TYPE_CHECKING:
    from benchmarks.page import Page
    from benchmarks.record import Record
    from benchmarks.schema import Dataset
    from distill.images import About, Data
    from distill.runtime.compute import Compute

JUDGES = ("test", "validation")


def about(command: Any) -> "About":
    """The facts of the dataset that a command names.

    Raises:
        Mistake: no such dataset, or an image size that it does not take.
    """
    from distill import datasets

    return datasets.about(command.dataset, size=command.image_size)


def load(command: Any, flags: Sequence[str] = ()) -> tuple["Data", "Compute"]:
    """The images that a command asks for, and where to compute; under torchrun all ranks meet.

    Args:
        command: with dataset, data_root, image_size, ipc, device and out, maybe precision, compile,
            deterministic and judge: `validation` makes a part of the training images the test
            images.
        flags: of its method, as they were given.

    Raises:
        Mistake: no such device, a folder that cannot be written to, a damaged record where others
            are shown, images that are not there, fewer of them than `ipc` a class, or ranks that
            differ in any of it.
    """
    from benchmarks.record import read
    from distill import datasets
    from distill.checks import require_ipc
    from distill.runtime.compute import Compute
    from distill.runtime.files import require_writable

    origin.ours()  # what is edited from now on is not what runs
    compute = Compute.of(
        command.device,
        about(command).shape,
        precision=getattr(command, "precision", "auto"),
        compile=getattr(command, "compile", "auto"),
        deterministic=getattr(command, "deterministic", False),
        say=ranks.progress().say,
    )
    for folder in ("records", "sets"):
        require_writable(command.out / folder)
    read(record_folders(command.out))  # refused now, not when the run is over
    ranks.meet(command.out)
    judge = getattr(command, "judge", "test")
    with ranks.in_turn():
        data = datasets.load(
            command.dataset,
            root=command.data_root,
            size=command.image_size,
            judged=judge == "test",
        )
    if judge == "validation":
        data = data.validation()
    require_ipc(data.train, command.ipc)
    images = {"the images": data.digest() if ranks.world() > 1 else ""}
    ranks.join(ranks.agreement(command, flags, compute, **images))
    compute.enter()
    return data, compute


def record_folders(out: Path) -> list[Path]:
    """Where the records lie that a command shows beside its own: the committed, and `out`'s."""
    from benchmarks.record import RESULTS

    return [RESULTS / "records", out / "records"]


def dataset_used(data: "Data", judge: str = "test") -> "Dataset":
    """What a record says of the images."""
    from benchmarks.schema import Dataset

    return Dataset(**data.train.about.identity(), digest=data.digest(), judged_on=judge)


def label(method: str, preset: str, variant: dict[str, Any]) -> str:
    """`datadam`, or with what was changed, `datadam power=1`; another preset is named."""
    named = [] if preset == "laptop" else [preset]
    return " ".join([method, *named, *(f"{k}={_word(v)}" for k, v in sorted(variant.items()))])


def _word(value: Any) -> str:
    """A value in one word: of a longer text the first, and a digest."""
    first, *others = str(value).split(" ")
    return f"{first}@{identity.digest(str(value).encode(), digits=6)}" if others else first


def publish(record: "Record", out: Path) -> None:
    """Write a record into `out`, print its row beside those of its page, draw their figures.

    Of several ranks one does.

    Raises:
        Mistake: `out` cannot be written to, or a record beside it is damaged.
    """
    if not ranks.leading():
        return
    from benchmarks import reported

    path = record.write(out / "records")
    beside = [other for other in _all_of(out) if other.protocol_key == record.protocol_key]
    module = importlib.import_module(f"benchmarks.{record.kind}.page")
    pages = module.pages(beside, reported.read(reported.location()))
    page = pages[min(pages, key=len)]  # the protocol's own; others are of some of its rows
    figures = _show(page, {record.key}, out, name=record.name.removesuffix(".json"))
    _say_written([path], figures)


def publish_together(
    records: Sequence["Record"],
    out: Path,
    pages: Callable[..., dict[str, "Page"]],
) -> None:
    """Write the records of one command into `out`, show the pages of them and those beside them.

    Of several ranks one does.

    Args:
        pages: from records of all kinds, published figures and `own`, the keys of the command's
            records in their order, to the pages that show any of these, by name.

    Raises:
        Mistake: `out` cannot be written to, or a record beside it is damaged.
    """
    if not ranks.leading():
        return
    from benchmarks import reported

    paths = [record.write(out / "records") for record in records]
    published, own = reported.read(reported.location()), [record.key for record in records]
    shown = pages(_all_of(out), published, own=own)
    figures = [path for name, page in shown.items() for path in _show(page, own, out, name=name)]
    _say_written(paths, figures)


def _all_of(out: Path) -> "list[Record]":
    """Those that are shown beside a command's own, and its own."""
    from benchmarks.record import read

    return read(record_folders(out))


def _show(page: "Page", own: Collection[str], out: Path, *, name: str) -> list[Path]:
    """Print a page, with a mark before the rows of these records' keys; draw its figures."""
    from benchmarks.page import markdown
    from distill.runtime.files import write_atomically

    print(f"\n{page.title}\n")
    for table in page.tables:
        print(f"{table.caption}\n" if table.caption else "", end="")
        print(markdown(table.marked(own)))
    print(page.note)
    paths = []
    if page.drawings:
        from benchmarks import figures  # takes a second, and many pages have none
    for end, drawing in page.drawings.items():
        paths.append(out / "figures" / f"{name}{end}.png")
        write_atomically(paths[-1], figures.draw(drawing))
    return paths


def _say_written(records: Sequence[Path], figures: Sequence[Path]) -> None:
    for what, paths in (("record", records), ("figure", figures)):
        for path in paths:
            print(f"{what}: {path}")
    sys.stdout.flush()
