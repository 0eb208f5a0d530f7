"""What the tests share: the embedded digits, and small settings so that all is the real thing."""

import dataclasses
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

import downstream  # noqa: F401  (tells NNI how to be imported, before any test does)
from distill import datasets
from distill.images import Data, Normalisation
from distill.plan import Plan, distill
from distill.runtime import registry
from distill.runtime.compute import CPU, Compute
from distill.runtime.mistake import one_line

SMALL = {
    "random": {},
    "herding": {"network": "convnet-d2-w8", "networks": 2},
    "kcenter": {"network": "convnet-d2-w8", "networks": 2},
    "forgetting": {"network": "convnet-d2-w8", "passes": 3},
    "dc": {"network": "convnet-d2-w8", "outer_loop": 2, "real_batch": 20, "iterations": 6},
    "dsa": {"network": "convnet-d2-w8", "outer_loop": 2, "real_batch": 20, "iterations": 6},
    "dm": {"network": "convnet-d2-w8", "networks": 3, "real_batch": 20, "iterations": 6},
    "datadam": {"network": "convnet-d2-w8", "networks": 3, "real_batch": 20, "iterations": 6},
    "trained": {
        "network": "convnet-d2-w8",
        "networks": 3,
        "real_batch": 20,
        "iterations": 6,
        "trained": 1.0,
        "bank": 2,
    },
}
"""Each method's configuration for tests; a new method runs with its laptop preset."""


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Data:
    return datasets.load("digits", root=Path("nowhere")).normalised_by(Normalisation.fixed(1))


ROOT = Path(__file__).parent.parent


def started(line, **given):
    """A command on its way, one thread, that hears Ctrl-C, leader of a session of its own."""
    usual = {
        "cwd": ROOT,
        "env": {**os.environ, "OMP_NUM_THREADS": "1"},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "start_new_session": True,
        "preexec_fn": hear_ctrl_c,
    }
    return subprocess.Popen(line, **usual | given)


def hear_ctrl_c():
    """In a process about to start: one that runs in the background may have been told not to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def make():
    """make(method, real, ipc, seed=0, **changes): a small set, made by the real method."""

    def made(
        method,
        real,
        ipc,
        seed=0,
        *,
        progress=None,
        store=None,
        device=None,
        compute=None,
        **changes,
    ):
        module = registry.load("distill.methods", method)
        config = module.preset(real.about, ipc, "laptop")
        config = dataclasses.replace(config, **{**SMALL.get(method, {}), **changes})
        compute = compute or (CPU if device is None else Compute(device))
        plan = Plan(method, config, ipc, seed)
        return distill(plan, real, compute=compute, store=store, progress=progress)

    return made


@pytest.fixture
def fails(capsys):
    """fails(main, args): run a command that must fail; its one line."""

    def run(main, args):
        with pytest.raises(SystemExit) as end, one_line():
            main(args)
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, error
        return error

    return run


@pytest.fixture
def nette(tmp_path):
    """The folder of Imagenette, as its archive has it."""
    from trees import tree, write

    from distill.datasets import imagenette

    return write(tmp_path / "imagenette2-160", tree(imagenette.CLASSES))


@pytest.fixture
def decodings(monkeypatch):
    """As many as pictures are decoded from now on."""
    from distill.datasets import _pictures

    decode, done = _pictures.decode, []

    def counted(*given):
        done.append(given)
        return decode(*given)

    monkeypatch.setattr(_pictures, "decode", counted)
    return done


def write_tree(root, classes=("cat", "dog"), count=3, size=10):
    """A folder dataset of small pictures, each class of a colour of its own."""
    import numpy as np
    from PIL import Image

    for half in ("train", "test"):
        for place, name in enumerate(classes):
            folder = root / half / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.full((size, size + 2, 3), (40 * place + number) % 256, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def of_session(session):
    """The living processes of a session."""
    living = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name_and_after = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(name_and_after[3]) == session and name_and_after[0] != "Z":
            living.append(int(folder.name))
    return living


def eventually(check, seconds=15.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False
