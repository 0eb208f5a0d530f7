"""A guard around NNI's server, which by itself listens on every interface and obeys anybody.

A few lines of JavaScript are loaded into it. They let it listen where we say alone, answer nobody
who does not know a secret, and end it, its trials and its files when we end, even by kill -9.
"""

import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import requests
from nni.experiment import launcher, rest

from distill.runtime import ending, marks
from distill.runtime.environment import variables
from distill.runtime.mistake import Mistake

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0
"""Seconds that the server may take to start, on a busy machine."""

GUARD = """\
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const net = require('net');
const { address, port, owner, secret, files } = GIVEN;

// Every server listens on the address alone; one for other machines also where we reach it.
const listen = net.Server.prototype.listen;
function also(server, here) {
  if (address === '127.0.0.1' || !here) return;
  const door = net.createServer((socket) => server.emit('connection', socket));
  listen.call(door, here, '127.0.0.1');
  door.unref();
}
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number' || (typeof first === 'string' && /^[0-9]+$/.test(first))) {
    rest = rest.filter((argument) => typeof argument !== 'string');
    also(this, Number(first));
    return listen.call(this, Number(first), address, ...rest);
  }
  if (first && typeof first === 'object' && 'port' in first) {
    first.host = address;
    also(this, first.port);
  }
  if (first === undefined || typeof first === 'function') {
    return listen.call(this, 0, address, ...[first, ...rest].filter(Boolean));
  }
  return listen.call(this, first, ...rest);
};

// Who does not know the secret learns nothing, not even NNI's own 404, which names it.
const digest = (text) => crypto.createHash('sha256').update(text).digest();
const wanted = digest(secret);
const knows = (url) => crypto.timingSafeEqual(digest(String(url).split('/')[1] || ''), wanted);
const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, request, answer, ...rest) {
  const asked = ['request', 'upgrade', 'connect', 'checkContinue', 'checkExpectation'];
  const here = asked.includes(event) ? this.address() : null;
  if (here && here.port === port && !knows(request.url)) {
    if (answer.writeHead) answer.writeHead(404).end('Not Found');
    else answer.destroy();
    return true;
  }
  return emit.call(this, event, request, answer, ...rest);
};

if (process.argv.includes('--experiment-id')) {
  const channel = `ws://localhost:${port}/${secret}/tuner`;
  process.argv.push('--url-prefix', secret, '--tuner-command-channel', channel);
  const end = () => {
    try {
      fs.rmSync(files, { recursive: true, force: true });
      fs.rmdirSync(require('path').dirname(files));
    } catch (error) { /* others are in it, or it is tidied later */ }
    process.kill(-process.pid, 'SIGKILL');
  };
  const watch = () => { if (process.ppid !== owner) end(); };
  watch();
  setInterval(watch, 200).unref();
}
"""


class Server:
    """NNI's server while it is guarded.

    Attributes:
        port, address: on which it listens. secret: the first part of every path it answers.
        folder: of its files, which nobody else may read: they name the secret.
        process: once it has started. kept: whether its files are kept when it has ended.
    """

    def __init__(self, port: int, address: str, folder: Path) -> None:
        self.port, self.address, self.folder = port, address, folder
        self.secret = secrets.token_hex(16)
        self.process: subprocess.Popen | None = None
        self.kept = False

    @property
    def channel(self) -> str:
        """Where NNI's strategies talk to it."""
        return f"ws://localhost:{self.port}/{self.secret}/tuner"

    def require_alone(self) -> None:
        """Check where it listens.

        Raises:
            Mistake: elsewhere too.
        """
        assert self.process is not None
        addresses = listening(psutil.Process(self.process.pid))
        if addresses != {self.address, LOOPBACK}:
            raise Mistake(
                f"NNI's server listens on {', '.join(sorted(addresses))} and not on {self.address} "
                "alone, where anybody could give it orders; use --engine in-process"
            )

    def end(self) -> None:
        """End it and its trials at once, whatever they are doing."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def remove(self) -> None:
        """Delete its files, and the folder in which they lie if nothing else is in it."""
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()


@contextlib.contextmanager
def guarded(port: int, address: str, folder: Path) -> Iterator[Server]:
    """Whatever server NNI starts within this is guarded, and gone afterwards.

    Its files lie in a folder of their own in `folder`, and go too, unless a `Mistake` names them;
    those of runs that are dead go first.

    Raises:
        Mistake: the port is in use, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tidy(folder)
        prefix = f"service.{marks.mark()}."
        own = Path(tempfile.mkdtemp(dir=folder.absolute(), prefix=prefix))
    except OSError as error:
        raise Mistake(f"cannot write {folder}: {error.strerror}; choose another --out") from error
    server = Server(port, address, own)
    ending.at_last(server.remove)  # where there is no time for the way out of here
    try:
        with _held(port), _surroundings(server), _launched(server):
            yield server
    except Mistake:
        server.kept = server.process is not None  # the user may want to read NNI's logs
        raise
    finally:
        server.end()
        server.remove()


def tidy(folder: Path) -> None:
    """Delete the files of services on this machine whose commands are dead."""
    for path in folder.glob("service.*"):
        if marks.abandoned(path.name):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _held(port: int) -> Iterator[None]:
    """Keep others from [::1], where `localhost` is looked for first: they would hear the secret."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # a machine without IPv6 has no such address
            probe = held.enter_context(socket.socket(socket.AF_INET6))
            probe.bind(("::1", 0))
            own = held.enter_context(socket.socket(socket.AF_INET6))
            try:
                own.bind(("::1", port))
            except OSError as error:
                raise Mistake(f"--port {port} is in use; choose another") from error
        yield


@contextlib.contextmanager
def _surroundings(server: Server) -> Iterator[None]:
    """What the server finds in its environment: the guard, and no proxy on the way to us."""
    path = server.folder / "guard.js"
    given = {
        "address": server.address,
        "port": server.port,
        "owner": os.getpid(),
        "secret": server.secret,
        "files": str(server.folder),
    }
    path.write_text(GUARD.replace("GIVEN", json.dumps(given)))
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), "localhost", LOOPBACK]))
    options = f'{os.environ.get("NODE_OPTIONS", "")} --require "{quoted}"'.strip()
    own = {"NODE_OPTIONS": options, "NO_PROXY": direct, "no_proxy": direct}
    with variables(own):
        yield


@contextlib.contextmanager
def _launched(server: Server) -> Iterator[None]:
    """NNI's launcher, with its list of experiments out of the home, and more patience."""
    begin = launcher._start_rest_server

    def opened(command: list[str], **given: Any) -> subprocess.Popen:
        with open(server.folder / "server.log", "ab") as log:
            own = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            return subprocess.Popen(command, **{**given, **own})

    def start(args: Any, mode: Any) -> subprocess.Popen:
        args.url_prefix = args.tuner_command_channel = None  # a command line is open to all
        server.process = begin(args, mode)
        return server.process

    def answers(port: int, *ignored: object, url_prefix: str | None = None) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                rest.get(port, "/check-status", url_prefix)
                return
            except (requests.RequestException, ValueError) as error:
                assert server.process is not None
                if server.process.poll() is not None:
                    raise ConnectionError("it ended as soon as it had started") from error
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    own = {
        "Popen": opened,
        "Experiments": functools.partial(launcher.Experiments, home_dir=str(server.folder)),
        "_start_rest_server": start,
        "_check_rest_server": answers,
    }
    before = {name: getattr(launcher, name) for name in own}
    for name, value in own.items():
        setattr(launcher, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(launcher, name, value)


def listening(process: psutil.Process) -> set[str]:
    """The addresses on which a process and its children accept connections."""
    family = [process, *process.children(recursive=True)]
    return {
        connection.laddr.ip
        for member in family
        for connection in member.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
