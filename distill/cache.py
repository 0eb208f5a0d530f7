"""Sets kept on disk, class by class, so that no class is ever distilled twice."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from distill import registry
from distill.images import ImageSet
from distill.progress import Progress
from distill.synthetic import SyntheticSet, merge


def distil(
    folder: Path,
    method: str,
    real: ImageSet,
    ipc: int,
    *,
    config: Any,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> SyntheticSet:
    """The set that `method` makes of all classes in `real`, from `folder` as far as it is there.

    What is missing is distilled in one go and then kept, one file a class; where the method
    couples its classes, one file for this very combination of classes. A file is found again only
    if method, configuration, ipc, seed, normalisation and the class's images are the same.

    Raises:
        Mistake: what the method raises, or `folder` cannot be written to or holds a damaged file.
    """
    units = [real.present] if config.couples_classes else [[label] for label in real.present]
    digests, paths = {}, {}
    for unit in map(tuple, units):
        digests[unit] = real.only(unit).digest()
        what = [method, dataclasses.asdict(config), ipc, seed, unit, digests[unit]]
        key = json.dumps([*what, real.normalisation.describe()], sort_keys=True)
        stem = f"{real.name}-{method}-ipc{ipc}-class{'_'.join(map(str, unit))[:40]}"
        name = f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:10]}.safetensors"
        paths[unit] = folder / name
    missing = [label for unit, path in paths.items() if not path.exists() for label in unit]
    if missing:
        made = registry.load("methods", method).distill(
            real.only(missing),
            ipc,
            config=config,
            seed=seed,
            device=device,
            progress=progress,
        )
        for unit, path in paths.items():
            if not path.exists():
                made.only(unit, digest=digests[unit]).save(path)
    return merge([SyntheticSet.load(path) for path in paths.values()])
