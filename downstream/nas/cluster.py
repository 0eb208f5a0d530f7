"""Where NNI's training service runs trials: this machine, others over ssh, or Kubernetes.

A configuration file is NNI's own, checked here key by key before anything starts; then, for other
machines, whether they are there, and whether a trial would find Python, its packages and the data.
"""

import dataclasses
import io
import os
import shlex
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from nni.experiment.config import RemoteConfig, RemoteMachineConfig
from nni.experiment.config.base import ConfigBase
from nni.experiment.config.training_services.frameworkcontroller import (
    FrameworkAttemptCompletionPolicy,
    FrameworkControllerConfig,
    FrameworkControllerRoleConfig,
)
from nni.experiment.config.training_services.k8s_storage import K8sStorageConfig
from nni.experiment.config.training_services.local import LocalConfig
from nni.experiment.config.utils import case_insensitive
from nni.nas import experiment

import distill
import downstream
from distill.runtime.mistake import Mistake, unknown
from downstream.nas import reach
from downstream.nas.guard import LOOPBACK
from downstream.nas.trial import TrialSettings

PLATFORMS = {
    "local": LocalConfig,
    "remote": RemoteConfig,
    "frameworkcontroller": FrameworkControllerConfig,
}
KEYS = ("trialConcurrency", "trialGpuNumber", "nniManagerIp", "trainingService")
"""What is taken from a file; all else that NNI knows is ours to say, or has no meaning here."""
PARTS = {
    "machineList": RemoteMachineConfig,
    "taskRoles": FrameworkControllerRoleConfig,
    "frameworkAttemptCompletionPolicy": FrameworkAttemptCompletionPolicy,
    "storage": K8sStorageConfig,
}
OURS = ("trial_command", "trial_code_directory", "trial_gpu_number", "nni_manager_ip", "debug")
"""Keys of a training service that are given above it, or not at all."""
SECRETS = ("password", "sshPassphrase")


class NasExperimentConfig(experiment.NasExperimentConfig):
    """NNI's, with a code directory that is not the working directory. NNI looks at the name."""

    _code = "."

    def _canonicalize(self, parents: list) -> None:
        self.trial_code_directory = "."  # NNI accepts no other
        super()._canonicalize(parents)
        self.trial_code_directory = self._code
        self.training_service.trial_code_directory = self._code


@dataclasses.dataclass(frozen=True)
class Service:
    """A training service whose configuration is in order.

    Attributes:
        path: of the file; None for the plain local service. address: on which its server listens.
    """

    config: NasExperimentConfig
    address: str
    path: Path | None = None

    @property
    def local(self) -> bool:
        """Whether trials run on this machine."""
        return self.config.training_service.platform == "local"

    @property
    def concurrency(self) -> int:
        """Trials at once."""
        return self.config.trial_concurrency

    def require_reachable(self, settings: TrialSettings | None = None) -> None:
        """Check that the other machines are there, and with `settings` that a trial can load there.

        Raises:
            Mistake: the first thing that is not as it must be.
        """
        if self.local:
            return
        reach.require_own(self.address, self.path)
        if self.config.training_service.platform == "frameworkcontroller":
            reach.require_kubernetes(self.config.training_service.storage, self.path)
            return
        machines = self.config.training_service.machine_list
        for machine in machines:
            reach.require_machine(machine, self.path)
        if settings is None:
            return
        sent = archive(self.there(settings))
        python = reach.python([machine.python_path for machine in machines])
        for machine in machines:
            reach.require_trial(machine, sent, python, self.path)

    def there(self, settings: TrialSettings) -> TrialSettings:
        """The settings of trials that run there: on a GPU, where each is given one."""
        if self.config.trial_gpu_number:
            return dataclasses.replace(settings, device="cuda", threads=None)
        return settings


def service(path: Path | None, *, concurrency: int) -> Service:
    """The service that a file describes, or a local one; nothing is connected to.

    Args:
        path: a YAML file as NNI documents it, of which KEYS are taken.
        concurrency: trials at once, where `path` is None.

    Raises:
        Mistake: no such file, a key that is unknown, missing or has no meaning here, or a key file
            that is not there.
    """
    if path is None:
        config = NasExperimentConfig("ts", "simplified", "local", trial_concurrency=concurrency)
        config.training_service.use_active_gpu = True
        config._trial_command_params = {"python": shlex.quote(sys.executable)}
        return Service(config, LOOPBACK)
    given = _read(path)
    platform = given["trainingService"]["platform"]
    _require_keys(given, platform, path)
    config = _as_nni_has_it(given, platform, path)
    if platform == "local":
        config._trial_command_params = {"python": shlex.quote(sys.executable)}
        return Service(config, LOOPBACK, path)
    machines = getattr(config.training_service, "machine_list", [])
    there = reach.python([machine.python_path for machine in machines])
    config._trial_command_params = {"envs": "NNI_FRAMEWORK=none", "python": there}
    return Service(config, config.nni_manager_ip, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Mistake(
            f"no NNI configuration at {path}; --engine-config takes a YAML file"
        ) from error
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error.strerror}; give a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Mistake(f"{path} is not an NNI configuration: {error}") from error
    if not isinstance(given, dict):
        raise Mistake(f"{path} is not an NNI configuration: it holds no keys; see docs/search.md")
    for key in given:
        if key not in KEYS:
            raise Mistake(f"{path} is not an NNI configuration: {unknown('key', str(key), KEYS)}")
    part = given.get("trainingService")
    if not isinstance(part, dict) or "platform" not in part:
        raise Mistake(f"{path} names no trainingService with a platform; see docs/search.md")
    if part["platform"] not in PLATFORMS:
        raise Mistake(f"{path}: {unknown('platform', str(part['platform']), PLATFORMS)}")
    return given


def _require_keys(given: dict[str, Any], platform: str, path: Path) -> None:
    """What NNI leaves unchecked, or would say in words that help nobody."""
    for where, kind, values in _parts("trainingService", PLATFORMS[platform], given):
        accepted = [_camel(f.name) for f in dataclasses.fields(kind) if f.name not in OURS]
        plain = {case_insensitive(name) for name in accepted}
        for key in values:
            if case_insensitive(str(key)) not in plain:
                raise Mistake(f"{path}: {unknown(f'key of {where}', str(key), accepted)}")
            if case_insensitive(str(key)) in map(case_insensitive, SECRETS):
                raise Mistake(
                    f"{path} holds a {key}, which NNI writes into its files as plain text; give "
                    "sshKeyFile, a key without a passphrase that is for this alone"
                )
    if platform != "local" and not given.get("nniManagerIp"):
        raise Mistake(
            f"{path} names no nniManagerIp: give the address under which the machines of the "
            f"{platform} service reach this one; NNI's server will listen there alone"
        )
    if platform == "frameworkcontroller" and given["trainingService"].get("reuseMode") is False:
        raise Mistake(f"{path}: reuseMode false runs no architecture search; leave reuseMode out")


def _parts(where: str, kind: type, given: Any) -> Iterator[tuple[str, type, dict[str, Any]]]:
    """A part of a configuration and those within it, with the class that NNI has for each."""
    values = given[where]
    for part in values if isinstance(values, list) else [values]:
        if isinstance(part, dict):
            yield where, kind, part
            for name in part.keys() & PARTS.keys():
                yield from _parts(name, PARTS[name], part)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _as_nni_has_it(given: dict[str, Any], platform: str, path: Path) -> NasExperimentConfig:
    """NNI's object of a configuration, checked by NNI.

    Raises:
        Mistake: what NNI says of it.
    """
    values = {**given, "trainingService": _absolute(given["trainingService"], path.parent)}
    try:
        config = NasExperimentConfig("ts", "simplified", **values)
        _require_key_files(config.training_service, path)
        config.canonical_copy()
    except Mistake:
        raise
    except Exception as error:  # NNI raises whatever its parts raise
        said = str(error) or f"a value of trainingService ({platform}) that cannot be"
        raise Mistake(f"{path} is not an NNI configuration: {said}") from error
    return config


def _absolute(part: dict[str, Any], folder: Path) -> dict[str, Any]:
    """With key files named from the file's own folder, as NNI documents it."""
    machines = part.get("machineList")
    if not isinstance(machines, list) or not all(isinstance(m, dict) for m in machines):
        return part
    named = []
    for machine in machines:
        key = machine.get("sshKeyFile")
        full = {"sshKeyFile": str(folder.absolute() / Path(key).expanduser())} if key else {}
        named.append({**machine, **full})
    return {**part, "machineList": named}


def _require_key_files(part: ConfigBase, path: Path) -> None:
    machines = getattr(part, "machine_list", None)
    for machine in machines if isinstance(machines, list) else []:  # else NNI says so
        key = Path(str(getattr(machine, "ssh_key_file", ""))).expanduser()
        if not os.access(key, os.R_OK) or not key.is_file():
            raise Mistake(f"{path}: no sshKeyFile {key} that can be read; make one with ssh-keygen")


# ------------------------------------------------------------------ what another machine is sent


def packed(settings: TrialSettings, service: Service, folder: Path) -> TrialSettings:
    """Put what a trial needs, but for the data, into a new folder that NNI sends along.

    Returns:
        The settings for a trial whose working directory is that folder.
    """
    for package in (distill, downstream):
        home = Path(package.__file__).parent
        wanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(home, folder / home.name, ignore=wanted)
    service.config._code = str(folder)
    settings = service.there(settings)
    if settings.set_path is None:
        return settings
    shutil.copyfile(settings.set_path, folder / "set.safetensors")
    return dataclasses.replace(settings, set_path="set.safetensors")


def archive(settings: TrialSettings) -> bytes:
    """The same with the settings in a file, as a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for package in (distill, downstream):
            home = Path(package.__file__).parent
            tar.add(home, home.name, filter=lambda m: None if "__pycache__" in m.name else m)
        content = settings.dumps().encode()
        about = tarfile.TarInfo("settings.json")
        about.size = len(content)
        tar.addfile(about, io.BytesIO(content))
    return buffer.getvalue()
