"""NNI's training service: every trial a process of its own, on this machine or on a cluster.

NNI's server listens on every interface and takes orders from anybody. Ours is made to listen on one
address alone (by a few lines of JavaScript loaded into it), and to end when we do, even by kill -9.
"""

import contextlib
import functools
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import requests
from nni.experiment import launcher
from nni.experiment.config import ExperimentConfig
from nni.experiment.config.utils import unset_base_path
from nni.nas.execution import TrainingServiceExecutionEngine
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.strategy.base import Strategy

from distill.runtime.mistake import Mistake
from downstream.nas.engine import ConvNetSpace, Ledgered, evaluator_elsewhere
from downstream.nas.trial import Settings

LOOPBACK = "127.0.0.1"

GUARD = """\
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === 'number' || (typeof first === 'string' && /^[0-9]+$/.test(first))) {
    rest = rest.filter((argument) => typeof argument !== 'string');
    return listen.call(this, Number(first), 'ADDRESS', ...rest);
  }
  if (first && typeof first === 'object' && 'port' in first) first.host = 'ADDRESS';
  if (first === undefined || typeof first === 'function') {
    return listen.call(this, 0, 'ADDRESS', ...[first, ...rest].filter(Boolean));
  }
  return listen.call(this, first, ...rest);
};
if (process.ppid === OWNER) {
  setInterval(() => {
    if (process.ppid !== OWNER) process.kill(-process.pid, 'SIGKILL');
  }, 500).unref();
}
"""


def require_free(port: int) -> int:
    """`port`, if this machine can listen on it.

    Raises:
        Mistake: it is in use, or no port number.
    """
    if not 1024 <= port <= 65535:
        raise Mistake(f"--port {port}: give a number from 1024 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed a moment ago is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise Mistake(f"--port {port} is in use; choose another") from error
    return port


def configuration(path: Path | None, *, concurrency: int) -> tuple[NasExperimentConfig, str]:
    """NNI's configuration: of `path`, or of a local service; and the address to listen on.

    Args:
        path: a YAML file as NNI documents it: trialConcurrency, trialGpuNumber, nniManagerIp and
            trainingService are taken from it. A service on other machines needs nniManagerIp, the
            address of this machine under which they reach it; there the suite must be installed for
            `python3`, and the data and the output folder be found under the same paths.
        concurrency: trials at once, where `path` is None.

    Raises:
        Mistake: no such file, not NNI's form, or a service on other machines without that address.
    """
    if path is None:
        config = NasExperimentConfig("ts", "simplified", "local", trial_concurrency=concurrency)
        config.training_service.use_active_gpu = True
        return config, LOOPBACK
    config = _from_file(path)
    platform = config.training_service.platform
    if platform == "local":
        return config, LOOPBACK
    if not config.nni_manager_ip:
        raise Mistake(
            f"{path} names no nniManagerIp: give the address under which the machines of the "
            f"{platform} service reach this one; NNI's server will listen there alone"
        )
    config._trial_command_params = {"envs": "NNI_FRAMEWORK=none", "python": "python3"}
    return config, config.nni_manager_ip


def _from_file(path: Path) -> NasExperimentConfig:
    try:
        given = ExperimentConfig.load(path)
        platform = getattr(given.training_service, "platform", None)
        if platform is None:
            raise ValueError("it names no trainingService with a platform")
        config = NasExperimentConfig("ts", "simplified", training_service_platform=platform)
        for field in (
            "training_service",
            "trial_concurrency",
            "trial_gpu_number",
            "nni_manager_ip",
        ):
            setattr(config, field, getattr(given, field))
        config.canonical_copy()  # NNI's own check of it
        return config
    except FileNotFoundError as error:
        raise Mistake(
            f"no NNI configuration at {path}; --engine-config takes a YAML file"
        ) from error
    except Exception as error:  # NNI raises whatever its parts raise
        raise Mistake(f"{path} is not an NNI configuration: {error}") from error
    finally:
        unset_base_path()  # NNI forgets to, where it fails


class _Experiment(NasExperiment):
    """An NNI experiment with our engine around NNI's, and no checkpoint of its own."""

    def __init__(
        self, *args: Any, ledgered: Callable[..., Ledgered], address: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ledgered, self.address = ledgered, address

    def execution_engine_factory(self, config: object) -> Ledgered:
        return self.ledgered(TrainingServiceExecutionEngine(self, fetch_intermediates=False))

    def _start_nni_manager(self, *args: Any, **kwargs: Any) -> None:
        super()._start_nni_manager(*args, **kwargs)
        addresses = listening(psutil.Process(self._proc.pid))
        if addresses != {self.address}:
            raise Mistake(
                f"NNI's server listens on {', '.join(sorted(addresses))} and not on {self.address} "
                "alone, where anybody could give it orders; use --engine in-process"
            )

    def save_checkpoint(self) -> None:
        """Left out: NNI's checkpoints cannot be resumed from."""


def run_elsewhere(
    search: Strategy,
    space: ConvNetSpace,
    settings: Settings,
    *,
    ledgered: Callable[..., Ledgered],
    config: tuple[NasExperimentConfig, str],
    port: int,
    folder: Path,
) -> list[str]:
    """Run a strategy on NNI's training service, then end the service.

    Args:
        config: of `configuration`.
        port: of NNI's server.
        folder: where NNI's logs go.

    Returns:
        The names of the networks tried, in order.

    Raises:
        Mistake: the port is in use, the server does not start, ends early, or listens elsewhere.
    """
    configured, address = config
    configured.experiment_working_directory = str(folder.absolute())
    require_free(port)
    folder.mkdir(parents=True, exist_ok=True)
    evaluator = evaluator_elsewhere(settings)
    experiment = _Experiment(
        space, evaluator, search, configured, ledgered=ledgered, address=address
    )
    with _guarded(address, folder):
        try:
            experiment.start(port)
            experiment._engine.wait_models()
            return list(experiment._engine.asked)
        except (requests.RequestException, ConnectionError, RuntimeError) as error:
            raise Mistake(f"NNI's server on port {port} failed: {error}; see {folder}") from error
        finally:
            experiment.stop()


@contextlib.contextmanager
def _guarded(address: str, folder: Path) -> Iterator[None]:
    """Let Node listen on `address` alone; keep NNI's list of experiments out of the home."""
    known, option = launcher.Experiments, os.environ.get("NODE_OPTIONS")
    with tempfile.TemporaryDirectory() as scratch:
        guard = Path(scratch) / "guard.js"
        guard.write_text(GUARD.replace("ADDRESS", address).replace("OWNER", str(os.getpid())))
        os.environ["NODE_OPTIONS"] = f"{option or ''} --require={guard}".strip()
        launcher.Experiments = functools.partial(known, home_dir=str(folder))
        try:
            yield
        finally:
            launcher.Experiments = known
            if option is None:
                del os.environ["NODE_OPTIONS"]
            else:
                os.environ["NODE_OPTIONS"] = option


def listening(process: psutil.Process) -> set[str]:
    """The addresses on which a process and its children accept connections."""
    family = [process, *process.children(recursive=True)]
    return {
        connection.laddr.ip
        for member in family
        for connection in member.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
