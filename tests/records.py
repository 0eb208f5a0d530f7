"""Records of every kind with figures of no run, for tests of what writes, reads and shows them."""

from typing import Any

import numpy as np

from benchmarks.attention import facts as of_attention
from benchmarks.classification import facts as of_classification
from benchmarks.continual import facts as of_continual
from benchmarks.cost import facts as of_cost
from benchmarks.nas import facts as of_nas
from benchmarks.record import Record
from benchmarks.schema import Dataset, Hardware, Making, Provenance, SetUsed, Spent
from distill.augment import OPERATIONS
from distill.training.recipes import Recipe

DIGITS = Dataset(name="digits", version=1, without=["flip"], digest="0123456789ab")
CIFAR10 = Dataset(name="cifar10", version=1, without=[], digest="ba9876543210")
UPRIGHT = tuple(name for name in OPERATIONS if name != "flip")
DIGITS_RECIPE, PUBLISHED = Recipe(epochs=300, operations=UPRIGHT), Recipe()
NETWORK = "convnet-d3-w32-instance-relu-avg"
FIXED = {"mean": [0.5], "std": [0.25], "source": "fixed", "zca": None}


def provenance(command: str) -> Provenance:
    return Provenance(
        command=command,
        date="2025-01-02T03:04:05+00:00",
        commit="abcdef1234567890",
        clean=True,
        python="3.11.4",
        versions={"torch": "2.12.1", "nni": None},
        hardware=Hardware(cpu="a processor", cores=2, threads=1, device="cpu", gpu=None),
    )


def making(method: str, ipc: int, sets: int, seed: int, config: dict[str, Any]) -> Making:
    return Making(method=method, version=1, config=config, ipc=ipc, seed=seed, sets=sets)


def sets_used(count: int, images: int) -> list[SetUsed]:
    return [
        SetUsed(seed=n, digest=f"{n:012}", seconds=1.5 + n, images=images, bytes=64 * images)
        for n in range(count)
    ]


def record(kind: str, method: str, label: str | None, **parts: Any) -> Record:
    command = f"python -m benchmarks.{kind} --method {method}"
    cost = Spent(seconds={"distill": 1.25, "train": 12.5, "trials": 60.0}, peak_mb=700)
    return Record(
        kind=kind, label=label or method, cost=cost, provenance=provenance(command), **parts
    )


RETRAIN = {
    "version": 1,
    "dataset": DIGITS,
    "strategy": "retrain",
    "network": NETWORK,
    "normalisation": FIXED,
}
"""A class-incremental protocol, but for its steps and recipe."""


def triangles(drawn: int, shape: tuple[int, int, int], shift: float) -> list:
    """Accuracies [orders][networks][step][step], None above the diagonal."""
    orders, networks, steps = shape
    random = np.random.RandomState(drawn)
    known = random.uniform(20, 80, (orders, networks, steps, steps)).round(4) + shift

    def triangle(m: np.ndarray) -> list:
        return [[float(m[i, j]) if j <= i else None for j in range(steps)] for i in range(steps)]

    return [[triangle(m) for m in own] for own in known]


def continual_record(
    method: str = "random",
    ipc: int = 1,
    *,
    label: str | None = None,
    config: dict[str, Any] | None = None,
    seed: int = 0,
    sets: int = 2,
    orders: int = 4,
    networks: int = 2,
    steps: int = 2,
    recipe: Recipe = DIGITS_RECIPE,
    drawn: int = 0,
    shift: float = 0.0,
    **protocol: Any,
) -> Record:
    """Accuracies drawn from the seed `drawn`, all raised by `shift`."""
    return record(
        "continual",
        method,
        label,
        version=of_continual.VERSION,
        protocol=of_continual.Protocol(**{**RETRAIN, "steps": steps, "recipe": recipe, **protocol}),
        cell=of_continual.Cell(
            making=making(method, ipc, sets, seed, config or {}), orders=orders, networks=networks
        ),
        results=of_continual.Results(
            sizes=[[60 + 7 * order + step for step in range(steps)] for order in range(orders)],
            matrices=triangles(drawn, (orders, networks, steps), shift),
            memory_bytes=640 * ipc,
        ),
        sets=sets_used(sets, 10 * ipc),
    )


def classification_record(
    method: str = "datadam",
    ipc: int = 1,
    *,
    label: str | None = None,
    config: dict[str, Any] | None = None,
    seed: int = 0,
    accuracies: tuple[tuple[float, ...], ...] = ((31.0, 32.0), (32.5, 33.0), (31.5, 32.0)),
    zca: bool = True,
    dataset: Dataset = CIFAR10,
    network: str = "convnet-d3-w128-instance-relu-avg",
    recipe: Recipe = PUBLISHED,
    precision: str = "float32",
) -> Record:
    source = "cifar10 train, ZCA on cifar10 train 0a1b2c3d4e5f" if zca else "cifar10 train"
    normalisation = {"mean": [0.5] * 3, "std": [0.25] * 3, "source": source}
    return record(
        "classification",
        method,
        label,
        version=of_classification.VERSION,
        protocol=of_classification.Protocol(
            dataset=dataset,
            network=network,
            recipe=recipe,
            normalisation={**normalisation, "zca": 0.1 if zca else None},
            precision=precision,
        ),
        cell=of_classification.Cell(
            making=making(method, ipc, len(accuracies), seed, config or {}),
            networks=len(accuracies[0]),
        ),
        results=of_classification.Results(accuracies=[list(own) for own in accuracies]),
        sets=sets_used(len(accuracies), 10 * ipc),
    )


def nas_record() -> Record:
    return record(
        "nas",
        "datadam",
        None,
        version=of_nas.VERSION,
        protocol=of_nas.Protocol(
            dataset=DIGITS,
            space="laptop",
            networks=3,
            truth={"version": 1, "data": DIGITS.digest, "recipe": {"epochs": 20}, "seed": 0},
        ),
        cell=of_nas.Cell(
            proxy="datadam", making=making("datadam", 10, 1, 0, {}), recipe=Recipe(), steps=80
        ),
        results=of_nas.Results(
            names=["convnet-w8", "convnet-w16", "convnet-w32"],
            scores=[50.5, None, 70.25],
            truth=[91.5, 92.0, None],
            parameters=[100, 200, 300],
            flops=[1000, 2000, 3000],
            looks=[[(5, 30.5), (80, 50.5)], [], [(80, 70.25)]],
            failed={"convnet-w16": "ended by the system"},
            seconds=[1.5, None, 2.5],
            images=100,
            bytes=25600,
        ),
        sets=sets_used(1, 100),
    )


def cost_record() -> Record:
    rows = [{"what": "ours", "ms": 1.75, "times": 3}, {"what": "plain", "ms": 2.5, "times": 4}]
    return record(
        "cost",
        "step",
        None,
        version=of_cost.VERSION,
        protocol=of_cost.Protocol(part="step", device="cpu", threads=2),
        cell=of_cost.Cell(turns=5),
        results=of_cost.Results(title="A step", note="Medians of 5.\n", rows=rows),
        sets=[],
    )


def attention_record() -> Record:
    values = {"same": [0.5, None], "other": [0.25, -0.125]}
    layer = {"norm": "instance", "initialisation": "uniform", "layer": 1, "height": 2, "width": 2}
    picture = {"image": 0, "what": "image", "layer": 0, "shape": [1, 2, 2], "content": "AAECAw=="}
    mean = picture | {"what": "mean", "layer": 1}
    return record(
        "attention",
        "attention",
        None,
        version=of_attention.VERSION,
        protocol=of_attention.Protocol(
            dataset=DIGITS, network=NETWORK, power=4.0, source="digits train"
        ),
        cell=of_attention.Cell(
            images=1, networks=2, seed=0, norms=["instance"], initialisations=["uniform"]
        ),
        results=of_attention.Results(
            layers=[of_attention.LayerAgreement(**layer, **values)],
            pictures=[of_attention.Picture(**own) for own in (picture, mean)],
        ),
        sets=[],
    )


EVERY = {
    "attention": attention_record,
    "continual": continual_record,
    "classification": classification_record,
    "nas": nas_record,
    "cost": cost_record,
}
"""A way to make a record of each kind."""
