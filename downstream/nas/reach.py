"""Whether the machines of a cluster are there, and have what a trial needs."""

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from distill.runtime.mistake import Mistake

SECONDS = 10
"""That a machine may take to answer."""
LOADING = 600
"""Seconds that it may take to load the images."""
NFS = 2049
"""The port on which network file systems are served."""

TRIED_THERE = """\
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
tar xzf -
NNI_FRAMEWORK=none PYTHON -m downstream.nas.elsewhere
"""


def python(folders: Sequence[str | None]) -> str:
    """For a shell: the python3 of the first of these folders that has one, or else of its PATH.

    NNI puts the folder into the PATH, where a .bashrc comes after it.
    """
    named = [f"{folder}/python3" for folder in dict.fromkeys(folders) if folder]
    if not named:
        return "python3"
    ways = [f"command -v {shlex.quote(name)}" for name in [*named, "python3"]]
    return f'"$({" || ".join(ways)})"'


def require_own(address: str, path: Path | None) -> None:
    """Check that an address is this machine's.

    Raises:
        Mistake: it is not.
    """
    try:
        with socket.socket() as probe:
            probe.bind((address, 0))
    except OSError as error:
        raise Mistake(
            f"{path}: nniManagerIp {address} is no address of this machine ({error.strerror}); "
            "give the one under which the other machines reach it"
        ) from error


def require_answer(host: str, port: int, what: str, path: Path | None) -> None:
    """Check that somebody listens there.

    Raises:
        Mistake: nobody does.
    """
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError as error:
        raise Mistake(
            f"{path}: {what} {host}:{port} cannot be reached ({error.strerror or error}); mend "
            "that, or take it out of the file"
        ) from error


def require_machine(machine: Any, path: Path | None) -> None:
    """Check that a machine of a remote service accepts connections.

    Raises:
        Mistake: it does not.
    """
    require_answer(machine.host, machine.port, "machine", path)


def require_trial(machine: Any, archive: bytes, python: str, path: Path | None) -> None:
    """Check that a trial would find Python, its packages, the code and the data there.

    Args:
        archive: what NNI would send, and the settings; it is gone afterwards. python: of `python`.

    Raises:
        Mistake: what was said there, in one line.
    """
    if shutil.which("ssh") is None:
        raise Mistake("there is no ssh on this machine to look at others with; install OpenSSH")
    script = TRIED_THERE.replace("PYTHON", python)
    command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={SECONDS}"]
    command += ["-o", "IdentitiesOnly=yes", "-i", str(Path(machine.ssh_key_file).expanduser())]
    command += ["-p", str(machine.port), "-l", machine.user, "--", machine.host]
    try:
        tried = subprocess.run(
            [*command, f"sh -c {shlex.quote(script)}"],
            input=archive,
            capture_output=True,
            timeout=LOADING,
        )
    except subprocess.TimeoutExpired as error:
        raise Mistake(
            f"{path}: machine {machine.host} took more than {LOADING} s to load the images"
        ) from error
    if tried.returncode != 0:
        lines = tried.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        said = lines[-1].removeprefix("error: ")
        raise Mistake(
            f"{path}: a trial cannot run on {machine.host}: {said}; it runs python3 of pythonPath "
            f"({machine.python_path or 'not given'}) as {machine.user}, see docs/search.md"
        )


def require_kubernetes(storage: Any, path: Path | None) -> None:
    """Check what NNI needs for a cluster: its address, and storage that can be mounted here.

    Raises:
        Mistake: the first of them that is not there.
    """
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        host, port = _kubernetes_server()
        require_answer(host, port, "the Kubernetes server", path)
    if storage.storage_type == "nfs":
        require_answer(storage.server, NFS, "the file server", path)
        mounts = shutil.which("sudo") and subprocess.run(
            ["sudo", "-n", "true"], capture_output=True, stdin=subprocess.DEVNULL
        )
        if not mounts or mounts.returncode != 0:
            raise Mistake(
                f"NNI mounts {storage.server}:{storage.path} with sudo, and sudo wants a password "
                "here; allow this user `sudo mount` and `sudo umount` without one"
            )


def _kubernetes_server() -> tuple[str, int]:
    """Host and port of the current context.

    Raises:
        Mistake: no such file, or it names none.
    """
    path = Path(os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser())
    try:
        given = yaml.safe_load(path.read_text())
        contexts = {part["name"]: part["context"] for part in given["contexts"]}
        clusters = {part["name"]: part["cluster"] for part in given["clusters"]}
        address = urlsplit(clusters[contexts[given["current-context"]]["cluster"]]["server"])
        assert address.hostname
    except OSError as error:
        raise Mistake(
            f"no Kubernetes configuration at {path} ({error.strerror}); kubectl writes one, and "
            "KUBECONFIG names another"
        ) from error
    except Exception as error:  # whatever the file holds in the place of a configuration
        raise Mistake(
            f"{path} names no server of a current context ({type(error).__name__}: {error}); see "
            "`kubectl config view`"
        ) from error
    return address.hostname, address.port or 443
