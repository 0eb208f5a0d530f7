"""NNI's training service: same figures, bound to this machine, and gone afterwards."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.record import read
from distill.mistake import Mistake
from downstream import nas_service
from downstream.search import Engine

ROOT = Path(__file__).parent.parent
SMALL = ["--proxy", "random", "--networks", "2", "--epochs", "2", "--ipc", "2"]


REMOTE = (
    "trialConcurrency: 3\ntrialGpuNumber: 1\ntrainingService:\n  platform: remote\n  machineList:\n"
    "    - host: 10.0.0.2\n      user: me\n      password: x\n"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(out, *args, truth):
    full = [sys.executable, "-m", "benchmarks.nas", *SMALL, "--out", str(out), *args]
    return subprocess.Popen(
        [*full, "--truth", str(truth)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def of_the_service(word):
    """Processes of a service whose command line or working folder holds `word`."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        if ("nni" in line or "node" in line) and word in f"{line} {process.info['cwd']}":
            found.append(process)
    return found


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A record of the whole dataset for the two networks, made in this process."""
    from benchmarks import nas

    out = tmp_path_factory.mktemp("truth")
    nas.main(["--proxy", "whole", "--networks", "2", "--out", str(out)])
    (path,) = (out / "records").glob("*-whole-*.json")
    nas.main([*SMALL, "--out", str(out), "--truth", str(path)])
    return path


@pytest.fixture(scope="module")
def served(truth, tmp_path_factory):
    """The same sample through the service: its folder, its port, and what listened meanwhile."""
    out, port = tmp_path_factory.mktemp("served"), free_port()
    running = command(out, "--engine", "service", "--port", str(port), truth=truth)
    seen = set()
    while running.poll() is None:
        for process in of_the_service(str(out)):
            with contextlib.suppress(psutil.Error):
                seen |= nas_service.listening(process)
        time.sleep(0.3)
    assert running.returncode == 0, running.stderr.read()
    return out, port, seen


def test_both_engines_give_the_same_accuracies(served, truth):
    out, _, _ = served
    (there,) = read([out / "records"])
    (here,) = [r for r in read([truth.parent]) if r.cell["method"] == "random"]
    assert there.metrics["names"] == here.metrics["names"]
    assert there.metrics["accuracies"] == here.metrics["accuracies"]
    assert there.name == here.name
    assert there.provenance["engine"] == "service" and here.provenance["engine"] == "in-process"


def test_the_server_listened_on_this_machine_alone_and_is_gone(served):
    out, port, seen = served
    assert seen == {"127.0.0.1"}
    assert of_the_service(str(out)) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_kill_9_leaves_nothing_running(truth, tmp_path):
    args = ["--engine", "service", "--port", str(free_port()), "--epochs", "2000"]
    running = command(tmp_path, *args, truth=truth)
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
        running.wait()
        running.stderr.close()
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_a_server_that_listens_elsewhere_is_refused(truth, tmp_path, monkeypatch, fails):
    from benchmarks import nas

    monkeypatch.setattr(nas_service, "GUARD", "// nothing\n")
    port = free_port()
    args = [*SMALL, "--out", str(tmp_path), "--truth", str(truth), "--engine", "service"]
    with pytest.raises(Mistake, match="listens on .* and not on 127.0.0.1 alone"):
        nas.main([*args, "--port", str(port)])
    assert of_the_service(str(tmp_path)) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def engine(**changes):
    values = {"name": "service", "config": None, "concurrency": 2, "port": free_port()}
    return Engine(**values | changes, folder=Path("nowhere"))


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
    config, address = nas_service.configuration(path, concurrency=1)
    assert address == "10.0.0.1" and config.trial_concurrency == 3 and config.trial_gpu_number == 1
    assert config.training_service.machine_list[0].host == "10.0.0.2"


def test_engines_that_cannot_be():
    with pytest.raises(Mistake, match="unknown engine 'servce'.*did you mean service"):
        engine(name="servce").check()
    with pytest.raises(Mistake, match="--concurrency 0"):
        engine(concurrency=0).check()
    with pytest.raises(Mistake, match="--engine-config is for --engine service"):
        engine(name="in-process", config=Path("x")).check()
