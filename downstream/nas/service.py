"""NNI's training service: every trial a process of its own, on this machine or on a cluster."""

import atexit
import contextlib
import dataclasses
import math
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from nni.experiment import RunMode, rest
from nni.nas.execution import TrainingServiceExecutionEngine
from nni.nas.experiment import NasExperiment
from nni.nas.strategy.base import Strategy

from distill.runtime import cores
from distill.runtime.mistake import Mistake
from downstream.nas import cluster
from downstream.nas.cluster import Service
from downstream.nas.engine import Ledgered, Points, evaluator_elsewhere
from downstream.nas.guard import LOOPBACK, Server, guarded
from downstream.nas.trial import TrialSettings

GOODBYE = 60.0
"""Seconds that a cluster may take to end its trials."""


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


class _Experiment(NasExperiment):
    """An NNI experiment on a guarded server, with our engine around NNI's and no checkpoint."""

    def __init__(
        self, *args: Any, ledgered: Callable[..., Ledgered], server: Server, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ledgered, self.server = ledgered, server
        self.url_prefix = server.secret

    def execution_engine_factory(self, config: object) -> Ledgered:
        return self.ledgered(TrainingServiceExecutionEngine(self, fetch_intermediates=False))

    def _start_nni_manager(
        self, port: int, debug: bool, run_mode: RunMode = RunMode.Background, *ignored: object
    ) -> None:
        super()._start_nni_manager(port, debug, run_mode, self.server.channel)
        self.server.require_alone()

    def save_checkpoint(self) -> None:
        """Left out: NNI's checkpoints cannot be resumed from."""

    def finish(self, patience: float) -> None:
        """Have the server end by itself, within so many seconds."""
        engine = self._engine.engine
        engine._channel_listen_stop_event.set()
        with contextlib.suppress(requests.RequestException):
            rest.delete(self.port, "/experiment", self.url_prefix)
        engine._channel_listen_thread.join(5.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._proc.wait(patience)

    def stop(self) -> None:
        """End the server at once: what trials have given is in the ledger."""
        atexit.unregister(self.stop)
        self.server.end()
        self._stop_logging()


def run_elsewhere(
    search: Strategy,
    space: Points,
    settings: TrialSettings,
    *,
    ledgered: Callable[..., Ledgered],
    service: Service,
    port: int,
    folder: Path,
) -> list[str]:
    """Run a strategy on NNI's training service, then end the service.

    Args:
        service: of `cluster.service`.
        port: of NNI's server.
        folder: where NNI's files lie meanwhile.

    Returns:
        The names of the networks tried, in order.

    Raises:
        Mistake: the port is in use, the server does not start, ends early, or listens elsewhere.
    """
    require_free(port)
    with guarded(port, service.address, folder) as server:
        service.config.experiment_working_directory = str(server.folder)
        experiment = _Experiment(
            space,
            evaluator_elsewhere(_sent(settings, service, server)),
            search,
            service.config,
            ledgered=ledgered,
            server=server,
        )
        try:
            experiment.start(port)
            experiment._engine.wait_models()
            experiment.finish(0.0 if service.local else GOODBYE)
            _keep_logs(experiment._engine, server)
            return list(experiment._engine.asked)
        except (requests.RequestException, ConnectionError, RuntimeError) as error:
            raise Mistake(
                f"NNI's server on port {port} failed: {_without(server.secret, error)}; its logs "
                f"are in {server.folder} until the next run; run the same command again: finished "
                "trials are kept"
            ) from error
        finally:
            experiment.stop()


def _keep_logs(engine: Ledgered, server: Server) -> None:
    """Where trials gave no result, NNI's logs may say why."""
    if engine.lost:
        server.kept = True
        engine.progress.say(
            f"{engine.lost} trials gave no result; NNI's logs are in {server.folder} until the "
            "next run"
        )


def _without(secret: str, error: Exception) -> str:
    return str(error).replace(secret, "...")


def _sent(settings: TrialSettings, service: Service, server: Server) -> TrialSettings:
    """The settings of trials where they run."""
    if service.local:
        return _beside_others(settings, service.concurrency)
    return cluster.packed(settings, service, server.folder / "code")


def _beside_others(settings: TrialSettings, concurrency: int) -> TrialSettings:
    """Settings of trials of which so many share this machine's processors."""
    if settings.threads is not None or settings.compute.device.type != "cpu":
        return settings
    threads = max(1, math.floor(cores.cores() / concurrency))
    return dataclasses.replace(settings, threads=threads)
