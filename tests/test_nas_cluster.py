"""Configurations of other machines: every mistake in one line, before anything starts."""

import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.nas.__main__ import main, require_one_process
from distill import datasets
from distill.methods import random
from distill.plan import Plan, distill
from distill.runtime import ranks
from distill.runtime.compute import CPU
from distill.runtime.launch import Part
from distill.runtime.mistake import Mistake
from distill.training.recipes import Recipe
from downstream.nas import cluster, proxy, reach, trial

ROOT = Path(__file__).parent.parent
REMOTE = """\
nniManagerIp: 10.0.0.1
trialConcurrency: 3
trialGpuNumber: 1
trainingService:
  platform: remote
  machineList:
    - host: 10.0.0.2
      user: me
      sshKeyFile: key
"""
KUBERNETES = """\
nniManagerIp: 10.0.0.1
trialConcurrency: 3
trainingService:
  platform: frameworkcontroller
  serviceAccountName: a
  namespace: default
  storage:
    storageType: nfs
    server: 10.0.0.3
    path: /x
  taskRoles:
    - name: worker
      dockerImage: suite
      taskNumber: 1
      command: python3
      gpuNumber: 0
      cpuNumber: 1
      memorySize: 4gb
      frameworkAttemptCompletionPolicy:
        minFailedTaskCount: 1
        minSucceedTaskCount: 1
"""


@pytest.fixture
def written(tmp_path):
    """written(text): a file with that configuration, and a key beside it."""

    def write(text):
        path = tmp_path / "nni.yaml"
        path.write_text(text)
        (tmp_path / "key").write_text("a key")
        return path

    return write


@pytest.fixture
def settings(tmp_path):
    """Of trials on the digits."""
    return proxy.whole_settings(
        datasets.load("digits"),
        dataset="digits",
        image_size=None,
        root=tmp_path,
        recipe=Recipe(),
        compute=CPU,
    )


def test_a_file_of_remote_machines(written):
    own = cluster.service(written(REMOTE), concurrency=1)
    assert own.address == "10.0.0.1" and own.concurrency == 3 and not own.local
    assert own.config.trial_gpu_number == 1
    machine = own.config.training_service.machine_list[0]
    assert machine.host == "10.0.0.2" and Path(machine.ssh_key_file).read_text() == "a key"


def test_a_file_of_kubernetes(written):
    own = cluster.service(written(KUBERNETES), concurrency=1)
    assert own.address == "10.0.0.1" and own.concurrency == 3 and not own.local


MISTAKES = [
    ("just words", "it holds no keys"),
    ("a: [", "is not an NNI configuration"),
    ("trialConcurency: 2", "unknown key 'trialConcurency'.*did you mean trialConcurrency"),
    ("maxTrialNumber: 2", "unknown key 'maxTrialNumber'"),
    ("trialConcurrency: 2", "names no trainingService"),
    ("trainingService: {platform: slurm}", "unknown platform 'slurm'; accepted: local, remote"),
    ("trainingService: {platform: local}", "trial_concurrency is not set"),
    (REMOTE[: REMOTE.index("  machineList")], "machine_list is not set"),
    (REMOTE.replace("nniManagerIp: 10.0.0.1", ""), "names no nniManagerIp"),
    (REMOTE.replace("user: me", "usr: me"), "unknown key of machineList 'usr'.*did you mean user"),
    (REMOTE.replace("      user: me\n", ""), "user is not set"),
    (REMOTE.replace("sshKeyFile: key", "sshKeyFile: none"), "no sshKeyFile .*none that can be"),
    (REMOTE.replace("sshKeyFile: key", "password: x"), "holds a password.*give sshKeyFile"),
    (REMOTE.replace("sshKeyFile", "port: 0\n      sshKeyFile"), "is not an NNI configuration"),
    (REMOTE.replace("trialConcurrency: 3", "trialConcurrency: many"), "is not an NNI config"),
    (REMOTE.replace("platform", "trialCommand: x\n  platform"), "unknown key of trainingService"),
    (KUBERNETES.replace("path: /x", "folder: /x"), "unknown key of storage 'folder'"),
    (KUBERNETES.replace("nfs", "disk"), "storage_type"),
    (KUBERNETES.replace("minFailed", "minFaild"), "unknown key of frameworkAttemptCompletionPo"),
    (KUBERNETES.replace("namespace", "reuseMode: false\n  namespace"), "leave reuseMode out"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_configuration_that_is_wrong(text, said, written, fails, tmp_path):
    path = written(text)
    args = ["--engine", "service", "--engine-config", str(path), "--out", str(tmp_path / "out")]
    error = fails(main, args)
    assert re.search(said, error) and str(path) in error, error
    assert not (tmp_path / "out").exists()


def test_machines_that_are_not_there(written, monkeypatch):
    own = cluster.service(written(REMOTE), concurrency=1)
    with pytest.raises(Mistake, match="nniManagerIp 10.0.0.1 is no address of this machine"):
        own.require_reachable()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        here = REMOTE.replace("10.0.0.1", "127.0.0.1")
        here = here.replace("10.0.0.2", f"127.0.0.1\n      port: {port}")
        own = cluster.service(written(here), concurrency=1)
        with pytest.raises(Mistake, match=rf"machine 127.0.0.1:{port} cannot be reached .*refused"):
            own.require_reachable()


def test_a_kubernetes_that_is_not_there(written, tmp_path, monkeypatch):
    text = KUBERNETES.replace("10.0.0.1", "127.0.0.1").replace("10.0.0.3", "127.0.0.1")
    own = cluster.service(written(text), concurrency=1)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Mistake, match="no Kubernetes configuration at .*none"):
        own.require_reachable()
    known = tmp_path / "known"
    monkeypatch.setenv("KUBECONFIG", str(known))
    known.write_text("clusters: []")
    with pytest.raises(Mistake, match="known names no server of a current context"):
        own.require_reachable()
    with socket.create_server(("127.0.0.1", 0)) as server:
        known.write_text(
            "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters:\n"
            f"- {{name: k, cluster: {{server: 'https://127.0.0.1:{server.getsockname()[1]}'}}}}"
        )
        with pytest.raises(Mistake, match="the file server 127.0.0.1:2049 cannot be reached"):
            own.require_reachable()


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """A real ssh server on this machine, for its own user alone: its port, and the key."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH here")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    shutil.copy(folder / "key.pub", folder / "allowed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "allowed",
        "ListenAddress": "127.0.0.1",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "Subsystem": "sftp internal-sftp",
    }
    given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    Path("/run/sshd").mkdir(exist_ok=True) if os.getuid() == 0 else None
    server = subprocess.Popen([found, "-D", "-p", str(port), "-f", "/dev/null", *given])
    yield port, folder
    server.kill()
    server.wait()


@pytest.fixture
def machine(ssh, tmp_path, monkeypatch):
    """This machine, as another."""
    port, folder = ssh
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    host_key = (folder / "host.pub").read_text()
    options = f"-o UserKnownHostsFile={home}/.ssh/known_hosts"
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    real = shutil.which("ssh")
    (home / "ssh").write_text(f'#!/bin/sh\nexec {real} {options} "$@"\n')
    (home / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    bin = tmp_path / "a python"
    bin.mkdir()
    (bin / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (bin / "python3").chmod(0o755)
    text = (
        "nniManagerIp: 127.0.0.1\ntrialConcurrency: 1\ntrainingService:\n  platform: remote\n"
        f"  machineList:\n    - host: 127.0.0.1\n      port: {port}\n      user: {user()}\n"
        f"      sshKeyFile: {folder / 'key'}\n      pythonPath: {bin}\n"
    )
    path = tmp_path / "nni.yaml"
    path.write_text(text)
    return path


def user():
    import getpass

    return getpass.getuser()


def test_what_a_trial_needs_is_looked_for_on_the_other_machine(machine, settings):
    moved = dataclasses.replace(settings, data_digest="other")
    with pytest.raises(Mistake, match="cannot run on 127.0.0.1: the images of digits in .* not"):
        cluster.service(machine, concurrency=1).require_reachable(moved)
    text = machine.read_text()
    machine.write_text(text.replace("a python", "no python"))
    (machine.parent / "no python").mkdir()
    false = machine.parent / "no python" / "python3"
    false.write_text("#!/bin/sh\necho NNI is missing >&2\nexit 1\n")
    false.chmod(0o755)
    with pytest.raises(
        Mistake, match="cannot run on 127.0.0.1: NNI is missing; it runs python3 of"
    ):
        cluster.service(machine, concurrency=1).require_reachable(settings)
    machine.write_text(text.replace("sshKeyFile: ", "sshKeyFile: /etc/hostname #"))
    with pytest.raises(Mistake, match="cannot run on 127.0.0.1: .*(denied|invalid|failure)"):
        cluster.service(machine, concurrency=1).require_reachable(settings)


def test_what_another_machine_is_sent_is_enough_for_a_trial(
    written, settings, tmp_path, monkeypatch
):
    real = datasets.load("digits").train
    settings = proxy.saved(settings, distill(Plan("random", random.Config(), 1), real), tmp_path)
    own = cluster.service(written(REMOTE), concurrency=1)
    sent = cluster.packed(settings, own, tmp_path / "code")
    assert sent.device == "cuda" and own.config.canonical_copy().training_service.platform
    assert own.config.canonical_copy().trial_code_directory == str(tmp_path / "code")
    for package in ("distill", "downstream"):
        code = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        there = tmp_path / "code"
        assert {path.relative_to(there) for path in (there / package).rglob("*.py")} == code
    monkeypatch.chdir(tmp_path / "code")
    here = dataclasses.replace(sent, device="cpu")
    assert len(trial.load(here).images) == 10 and here.identity() == settings.identity()


def test_torchrun_is_refused(monkeypatch):
    require_one_process()
    monkeypatch.setattr(ranks, "_part", Part(rank=0, world=2, local=0, here=2))
    with pytest.raises(Mistake, match="shares out its trials itself; run it without torchrun"):
        require_one_process()


def examples():
    """The configurations in the documentation."""
    page = (ROOT / "docs" / "search.md").read_text()
    return re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("number", range(len(examples())))
def test_the_examples_of_the_documentation_are_in_order(number, written, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "nni").write_text("a key")
    own = cluster.service(written(examples()[number]), concurrency=1)
    assert own.config.canonical_copy().json()["trialConcurrency"] == own.concurrency


def test_the_documentation_has_an_example_of_each_kind():
    platforms = [re.search(r"platform: (\w+)", text)[1] for text in examples()]
    assert sorted(platforms) == ["frameworkcontroller", "remote"]
    assert reach.NFS == 2049
