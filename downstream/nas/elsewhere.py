"""What a trial needs, tried on another machine: python -m downstream.nas.elsewhere."""

import importlib.util
from pathlib import Path

from distill.runtime.mistake import Mistake, one_line
from downstream.nas import trial


def main() -> None:
    """Load what a trial would.

    Raises:
        Mistake: the data is not there, or other data, or NNI is not installed.
    """
    if importlib.util.find_spec("nni") is None:
        raise Mistake("NNI is not installed; install the suite, or nni 3.0, for that python3")
    trial.load(trial.Settings.loads(Path("settings.json").read_text()))


if __name__ == "__main__":
    with one_line():
        main()
