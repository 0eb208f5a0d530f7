"""What a trial needs, tried on another machine: python -m downstream.nas.elsewhere."""

import importlib.util
from pathlib import Path

from distill.runtime.mistake import Mistake, one_line
from downstream.nas import source, trial


def main() -> None:
    """Load what a trial would.

    Raises:
        Mistake: the data is not there, or other data, or NNI is not installed, or a user's own
            space needs what is not there.
    """
    if importlib.util.find_spec("nni") is None:
        raise Mistake("NNI is not installed; install the suite, or nni 3.0, for that python3")
    settings = trial.TrialSettings.loads(Path("settings.json").read_text())
    trial.load(settings)
    if settings.space is not None:
        source.model_space(settings.space)


if __name__ == "__main__":
    with one_line():
        main()
