"""NNI's training service: same figures, bound to this machine, and gone afterwards."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from distill import datasets
from distill.methods import random
from distill.plan import Plan, distill
from distill.recipes import Recipe
from distill.runtime.compute import CPU
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from downstream.nas import proxy, service, space, trial
from downstream.nas.search import Engine, Search, Trials

ROOT = Path(__file__).parent.parent

REMOTE = (
    "trialConcurrency: 3\ntrialGpuNumber: 1\ntrainingService:\n  platform: remote\n  machineList:\n"
    "    - host: 10.0.0.2\n      user: me\n      password: x\n"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def engine(**changes):
    values = {"name": "service", "config": None, "concurrency": 2, "port": free_port()}
    return Engine(**{"folder": Path("nowhere")} | values | changes)


def rank(folder, engine, *, epochs=2):
    """Try two networks on two random digits a class; their rows."""
    data = datasets.load("digits")
    chosen = distill(Plan("random", random.Config(), 2), data.train)
    whole = proxy.whole_settings(
        data,
        dataset="digits",
        image_size=None,
        root=Path("data"),
        recipe=Recipe(epochs=epochs),
        compute=CPU,
    )
    settings = proxy.saved(whole, chosen, folder)
    ledger = Ledger(folder, "digits-random", settings.identity())
    trials = Trials("trials", trial.job(settings, data, chosen), ledger, engine, 10)
    return trials.run(Search("grid", "laptop", space.sample("laptop", 2), 2, seed=0))


def elsewhere(folder, port, *, epochs=2):
    """The same with the service, in a process of its own; it prints the rows."""
    code = (
        f"import json, sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from pathlib import Path\n"
        "import downstream, test_nas_service as here\n"
        f"folder = Path({str(folder)!r})\n"
        f"engine = here.engine(port={port}, folder=folder / 'nni')\n"
        f"print(json.dumps(here.rank(folder, engine, epochs={epochs})))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def of_the_service(word):
    """Processes of a service whose command line or working folder holds `word`."""
    processes = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        if ("nni" in line or "node" in line) and word in f"{line} {process.info['cwd']}":
            processes.append(process)
    return processes


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Two networks through the service: its rows, folder and port, and what listened meanwhile."""
    out, port = tmp_path_factory.mktemp("served"), free_port()
    running = elsewhere(out, port)
    seen = set()
    while running.poll() is None:
        for process in of_the_service(str(out)):
            with contextlib.suppress(psutil.Error):
                seen |= service.listening(process)
        time.sleep(0.3)
    output, errors = running.communicate()
    assert running.returncode == 0, errors
    return json.loads(output.splitlines()[-1]), out, port, seen


def test_both_engines_give_the_same_rows(served, tmp_path):
    rows = rank(tmp_path, engine(name="in-process"))
    own = ("network", "status", "accuracy", "looks", "parameters", "flops")
    assert [[row[name] for name in own] for row in rows] == [
        [row[name] for name in own] for row in served[0]
    ]
    assert [row["status"] for row in rows] == ["trained"] * 2


def test_the_server_listened_on_this_machine_alone_and_is_gone(served):
    _, out, port, seen = served
    assert seen == {"127.0.0.1"}
    assert of_the_service(str(out)) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_kill_9_leaves_nothing_running(tmp_path):
    running = elsewhere(tmp_path, free_port(), epochs=20000)
    family = []
    try:
        deadline = time.monotonic() + 120
        while len(family) < 2 and time.monotonic() < deadline:  # the server, and a trial
            assert running.poll() is None, running.stderr.read()
            family = psutil.Process(running.pid).children(recursive=True)
            time.sleep(0.3)
        assert len(family) >= 2
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_a_server_that_listens_elsewhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "GUARD", "// nothing\n")
    port = free_port()
    with pytest.raises(Mistake, match="listens on .* and not on 127.0.0.1 alone"):
        rank(tmp_path, engine(port=port, folder=tmp_path / "nni"))
    assert of_the_service(str(tmp_path)) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Mistake, match=f"--port {port} is in use; choose another"):
            engine(port=port).check()
    with pytest.raises(Mistake, match="give a number from 1024"):
        engine(port=80).check()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no NNI configuration at"),
        ("just words", "is not an NNI configuration"),
        ("trialConcurency: 2", "is not an NNI configuration"),
        ("trialConcurrency: 2", "names no trainingService"),
        ("trialConcurrency: 2\ntrainingService:\n  platform: remote", "machine_list is not set"),
        ("trainingService:\n  platform: local", "trial_concurrency is not set"),
        (
            REMOTE,
            "names no nniManagerIp",
        ),
    ],
)
def test_a_configuration_that_is_missing_or_wrong(text, said, tmp_path):
    path = tmp_path / "nni.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Mistake, match=said):
        engine(config=path).check()


def test_a_configuration_of_a_cluster(tmp_path):
    path = tmp_path / "nni.yaml"
    path.write_text(f"nniManagerIp: 10.0.0.1\n{REMOTE}")
    engine(config=path).check()
    config, address = service.configuration(path, concurrency=1)
    assert address == "10.0.0.1" and config.trial_concurrency == 3 and config.trial_gpu_number == 1
    assert config.training_service.machine_list[0].host == "10.0.0.2"


def test_engines_that_cannot_be():
    with pytest.raises(Mistake, match="unknown engine 'servce'.*did you mean service"):
        engine(name="servce").check()
    with pytest.raises(Mistake, match="--concurrency 0"):
        engine(concurrency=0).check()
    with pytest.raises(Mistake, match="--engine-config is for --engine service"):
        engine(name="in-process", config=Path("x")).check()
