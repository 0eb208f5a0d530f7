"""NNI's training service: same figures, closed to others, and gone afterwards."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from distill import datasets
from distill.methods import random
from distill.plan import Plan, distill
from distill.runtime import marks
from distill.runtime.compute import CPU
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake
from distill.training.recipes import Recipe
from downstream.nas import cluster, guard, proxy, trial
from downstream.nas.search import Engine, Search, Trials
from downstream.nas.space import ConvNets

from conftest import eventually, hear_ctrl_c

ROOT = Path(__file__).parent.parent
OPEN = """\
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port) { return listen.call(this, port, '0.0.0.0'); };
const { port, secret } = GIVEN;
const channel = `ws://localhost:${port}/${secret}/tuner`;
process.argv.push('--url-prefix', secret, '--tuner-command-channel', channel);
"""
"""In the place of the guard."""
OWN = ("network", "status", "accuracy", "looks", "parameters", "flops")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def engine(**changes):
    values = {"name": "service", "config": None, "concurrency": 2, "port": free_port()}
    return Engine(**{"folder": Path("nowhere")} | values | changes)


def rank(folder, engine, *, networks=2, epochs=2):
    """Try some networks on two random digits a class; their rows."""
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
    laptop = ConvNets("laptop", (1, 8, 8), 10)
    trials = Trials("trials", trial.job(settings, data, chosen), ledger, engine, laptop)
    return trials.run(Search("grid", laptop.sample(networks), networks, seed=0))


def elsewhere(folder, port, *, concurrency=2, **options):
    """The same with the service, in a process of its own; it prints the rows."""
    code = (
        f"import json, sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from pathlib import Path\n"
        "import downstream, test_nas_service as here\n"
        f"folder = Path({str(folder)!r})\n"
        f"engine = here.engine(port={port}, folder=folder / 'nni', concurrency={concurrency})\n"
        f"print(json.dumps(here.rank(folder, engine, **{options!r})))"
    )
    (folder / "temporary files").mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=dict(os.environ, TMPDIR=str(folder / "temporary files")),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def family_of(process):
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def command_line(process):
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def trials_of(process):
    return [p for p in family_of(process) if "nni.nas.execution" in command_line(p)]


def living(family):
    """Those that are not dead; some of the dead wait to be taken note of."""
    states = []
    for process in family:
        with contextlib.suppress(psutil.Error):
            states.append((process.pid, process.status()))
    return [pid for pid, state in states if state != psutil.STATUS_ZOMBIE]


def finished(folder):
    """How many trials the ledger holds."""
    paths = list(folder.glob("**/*.jsonl"))
    return paths[0].read_bytes().count(b"\n") - 1 if paths else 0


def await_in(running, check):
    """Wait until `check()`, or until the process ends; looking costs it little time."""
    deadline = time.monotonic() + 120
    while not check() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.3)
    assert running.poll() is None, running.stderr.read()


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def secret_in(folder):
    """What NNI's server answers to, from the files of its owner."""
    (path,) = folder.glob("nni/*/guard.js")
    return re.search(r'"secret": "(\w+)"', path.read_text())[1], path.parent


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Two networks through the service: its rows, and what was seen of it meanwhile."""
    out, port = tmp_path_factory.mktemp("with a space"), free_port()
    running = elsewhere(out, port)
    seen = {"addresses": set(), "together": 0, "open": "", "answers": {}}
    while running.poll() is None:
        for process in family_of(running):
            with contextlib.suppress(psutil.Error):
                seen["addresses"] |= guard.listening(process)
        seen["together"] = max(seen["together"], len(trials_of(running)))
        if trials_of(running) and not seen["answers"]:
            secret, private = secret_in(out)
            seen["open"] = " ".join(command_line(p) for p in family_of(running))
            seen["mode"] = private.stat().st_mode & 0o777
            paths = ["", "experiment", "check-status", f"{secret}/experiment"]
            for path in paths:
                url = f"http://127.0.0.1:{port}/api/v1/nni/{path}"
                got = requests.get(url, timeout=9), requests.delete(url, timeout=9)
                seen["answers"][path] = {(one.status_code, one.text) for one in got}
            known = f"http://127.0.0.1:{port}/{secret}/api/v1/nni/check-status"
            seen["known"] = requests.get(known, timeout=9).status_code
            seen["secret"] = secret
        time.sleep(0.4)
    output, errors = running.communicate()
    assert running.returncode == 0, errors
    return json.loads(output.splitlines()[-1]), out, port, seen


def test_both_engines_give_the_same_rows(served, tmp_path):
    rows = rank(tmp_path, engine(name="in-process"))
    assert [[row[name] for name in OWN] for row in rows] == [
        [row[name] for name in OWN] for row in served[0]
    ]
    assert [row["status"] for row in rows] == ["trained"] * 2
    assert served[-1]["together"] == 2


def test_the_server_listens_on_this_machine_alone_and_answers_its_owner_alone(served):
    *_, seen = served
    assert seen["addresses"] == {"127.0.0.1"}
    assert len(seen["answers"]) == 4
    assert set().union(*seen["answers"].values()) == {(404, "Not Found")}
    assert seen["known"] == 200
    assert seen["secret"] not in seen["open"] and seen["mode"] == 0o700


def test_the_service_leaves_nothing(served):
    _, out, port, _ = served
    assert refuses(port)
    assert [path.suffix for path in out.iterdir() if path.is_file()].count(".jsonl") == 1
    assert not (out / "nni").exists() and not list((out / "temporary files").iterdir())


def test_kill_9_leaves_nothing_running_and_no_finished_trial_is_repeated(tmp_path):
    port = free_port()
    running = elsewhere(tmp_path, port, concurrency=1)
    try:
        await_in(running, lambda: finished(tmp_path) >= 1)
        family = family_of(running)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    assert family and eventually(lambda: not living(family) and refuses(port), 10)
    assert not list(tmp_path.glob("nni/*"))
    (path,) = tmp_path.glob("*.jsonl")
    before = path.read_bytes()
    kept = before[: before.rfind(b"\n") + 1]
    rows = rank(tmp_path, engine(name="in-process"))
    assert path.read_bytes().startswith(kept) and len(rows) == 2
    assert path.read_bytes().count(b"\n") == 3


def test_a_command_told_to_end_ends_its_service_at_once(tmp_path):
    port = free_port()
    args = ["--proxy", "random", "--networks", "4", "--epochs", "9000", "--engine", "service"]
    args += ["--concurrency", "1", "--port", str(port), "--out", str(tmp_path)]
    running = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.nas", *args],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    await_in(running, lambda: trials_of(running))
    family, began = family_of(running), time.monotonic()
    running.terminate()
    _, errors = running.communicate()
    assert running.returncode == 143 and time.monotonic() - began < 3, errors
    assert eventually(lambda: not living(family), 1) and len(family) >= 2
    assert refuses(port) and not (tmp_path / "nni").exists()
    assert "run the same command again" in errors.splitlines()[-1]


def test_files_of_a_service_that_was_killed_go_with_the_next(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    dead = marks.mark().rpartition("-")[0] + f"-{int(ended.stdout)}"
    for name in (f"service.{dead}.abc", f"service.{marks.mark()}.abc", "mine"):
        (tmp_path / name).mkdir()
    guard.tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"service.{marks.mark()}.abc", "mine"}


def test_a_server_that_listens_elsewhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "GUARD", OPEN)
    port = free_port()
    before = psutil.Process().children(recursive=True)
    with pytest.raises(Mistake, match="listens on .* and not on 127.0.0.1 alone"):
        rank(tmp_path, engine(port=port, folder=tmp_path / "nni"))
    assert refuses(port) and psutil.Process().children(recursive=True) == before


def test_a_server_for_other_machines_answers_here_too(tmp_path):
    own = cluster.service(None, concurrency=1)
    port = free_port()
    with guard.guarded(port, "127.0.0.2", tmp_path / "nni") as server:
        from nni.experiment import Experiment

        experiment = Experiment(own.config)
        experiment.url_prefix = server.secret
        own.config.experiment_working_directory = str(server.folder)
        experiment._start_logging(False)
        with contextlib.suppress(requests.RequestException):  # it is given no space
            experiment._start_nni_manager(port, False, tuner_command_channel=server.channel)
        listens = guard.listening(psutil.Process(server.process.pid))
        experiment._stop_logging()
    assert listens == {"127.0.0.1", "127.0.0.2"}
    assert refuses(port) and not (tmp_path / "nni").exists()


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Mistake, match=f"--port {port} is in use; choose another"):
            engine(port=port).check()
    with pytest.raises(Mistake, match="give a number from 1024"):
        engine(port=80).check()


def test_nobody_else_can_take_the_other_localhost(tmp_path):
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with taken, pytest.raises(Mistake, match="is in use; choose another"):
        port = taken.getsockname()[1]
        with guard.guarded(port, "127.0.0.1", tmp_path / "nni"):
            pass


def test_engines_that_cannot_be():
    with pytest.raises(Mistake, match="unknown engine 'servce'.*did you mean service"):
        engine(name="servce").check()
    with pytest.raises(Mistake, match="--concurrency 0"):
        engine(concurrency=0).check()
    with pytest.raises(Mistake, match="--engine-config is for --engine service"):
        engine(name="in-process", config=Path("x")).check()
