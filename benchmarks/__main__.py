"""The commands there are: python -m benchmarks --help."""

import ast
import sys
from pathlib import Path

from distill.runtime.flags import HELP
from distill.runtime.mistake import complain, one_line, unknown

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What is run with python -m, and the first line of what each says of itself.

    Nothing is imported.
    """
    kinds = sorted(path.parent for path in HERE.glob("*/__main__.py"))
    files = {"distill": HERE.parent / "distill" / "__main__.py"}
    files |= {f"benchmarks.{folder.name}": folder / "__main__.py" for folder in kinds}
    files |= {"benchmarks.tables": HERE / "tables.py"}
    texts = {name: ast.parse(path.read_text("utf-8")) for name, path in files.items()}
    first = {name: ast.get_docstring(text) or "" for name, text in texts.items()}
    return {name: text.partition("\n")[0] for name, text in first.items()}


def main(args: list[str]) -> int:
    """List the commands; the exit code.

    Raises:
        Mistake: something else is asked for.
    """
    known = commands()
    if args and HELP.isdisjoint(args):
        raise unknown("command", args[0], known)
    lines = [f"python -m {name:<25} {said}" for name, said in known.items()]
    show = print if args else complain
    show("\n".join(["The commands, each with a --help of its own:", *lines]))
    return 0 if args else 2


if __name__ == "__main__":
    with one_line():
        sys.exit(main(sys.argv[1:]))
