"""Sets of one dataset side by side in one picture: a row a set, a column a class.

python -m benchmarks.gallery --sets runs/sets/digits-*-ipc1-class*.safetensors --out sheet.png
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from distill.runtime.files import require_file, require_writable, write_atomically
from distill.runtime.flags import Within, cli
from distill.runtime.mistake import Mistake, one_line

if TYPE_CHECKING:
    from distill.synthetic import SyntheticSet

PROG = "python -m benchmarks.gallery"


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Draw sets of one dataset side by side: the same classes by every method.

    Beside a row stands the accuracy of networks trained on that very set, where a record has it.
    """

    sets: tuple[Path, ...]
    """The sets' files: a row each, of python -m distill or python -m distill import; or what runs
    keep in runs/sets, a class in a file: of each method the first set."""
    out: Path = Path("runs/gallery.png")
    """The picture."""
    each: Annotated[int, Within(1, 100)] = 1
    """Images of a class that are shown, the first ones."""
    classes: Annotated[int, Within(1, 1000)] = 10
    """Classes that are shown, the first ones that all sets have."""
    runs: Path = Path("runs")
    """The --out of runs whose records are read, beside the committed ones."""


def main(args: list[str]) -> None:
    """Draw what `args` ask for, and say where it is.

    Raises:
        Mistake: no set, a damaged one, sets of two datasets, or a picture that cannot be written.
    """
    command = cli(Gallery, args, prog=PROG)
    if not command.sets:
        raise Mistake("no set is given; give the files of some: python -m distill makes them")
    require_file(command.out, (".png",), what="a picture")
    require_writable(command.out.parent)

    from benchmarks.command import record_folders
    from benchmarks.gallery import sheet, worth
    from benchmarks.gallery.opened import finished, opened
    from benchmarks.record import read
    from distill.sets import export

    whole, pieces = opened(command.sets)
    if not whole and not pieces:
        raise Mistake("no given file is of a set; give the files of some")
    require_alike([*whole, *pieces])
    pieces, left = finished(pieces)
    if left:
        print(f"left out: {left} of the sets in pieces, with fewer classes", file=sys.stderr)
    require_shared([*whole, *pieces])
    judged = worth.of_sets([*whole, *pieces], read(record_folders(command.runs)))
    shown = [*whole, *judged.firsts(pieces)]
    drawn = sheet.draw(shown, judged, each=command.each, most=command.classes)
    title = sheet.title(shown, judged)
    write_atomically(command.out, export.png(drawn, title=title))
    print(command.out)


def require_alike(sets: "list[SyntheticSet]") -> None:
    """Check that sets can share a sheet.

    Raises:
        Mistake: they are of two datasets, or of images of two sizes.
    """
    first = sets[0]
    for own in sets:
        names = [s.made.dataset["name"] for s in (first, own)]
        if names[0] != names[1] or own.classes != first.classes:
            raise Mistake(f"the sets are of {names[0]} and of {names[1]}; give those of one")
        if own.images.shape[1:] != first.images.shape[1:]:
            sizes = ["x".join(map(str, s.images.shape[1:])) for s in (first, own)]
            raise Mistake(f"the sets' images are of {sizes[0]} and of {sizes[1]}; give alike ones")


def require_shared(sets: "list[SyntheticSet]") -> None:
    """Check that a column can be drawn.

    Raises:
        Mistake: the sets have no class in common.
    """
    if not set.intersection(*(set(own.labels.tolist()) for own in sets)):
        raise Mistake("the sets have no class in common; give sets of the same classes")


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
