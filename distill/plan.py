"""A set that is asked for, and the one door through which it is made or found again."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from distill import learn
from distill.checkpoints import KIND as STATE
from distill.checkpoints import Checkpoints, PiecePlace, standing
from distill.checks import require_ipc
from distill.images import About, ImageSet
from distill.objectives import bank
from distill.runtime import locks, registry
from distill.runtime.compute import CPU, FLOAT32, Compute
from distill.runtime.mistake import unknown
from distill.runtime.progress import Progress
from distill.runtime.store import Store
from distill.settings import of_kind, whole_number
from distill.synthetic import Made, SyntheticSet, merge

KIND = "set"
"""Of a store's pieces."""
AT_ONCE = 200
"""Pieces that are locked and made in one go, at most: each lock is an open file."""
MEMORY = 2**31
"""Bytes that the images of those pieces take at most, 14 times over: so much does learning hold."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A set that is asked for, of whatever images.

    Attributes:
        method: one of the files in distill/methods. config: of its Config.
        ipc: images a class. seed: of this set.
    """

    method: str
    config: Any
    ipc: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("ipc", "seed"):  # a numpy integer is one, 1.0 is none
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))

    @classmethod
    def of(
        cls,
        method: str,
        about: About,
        *,
        ipc: int,
        preset: str = "laptop",
        seed: int = 0,
        **changes: Any,
    ) -> "Plan":
        """The plan with the configuration of a preset, to which `changes` are made: `power=1`.

        Raises:
            Mistake: no such method, preset or setting, or a value that cannot be.
        """
        ipc = whole_number("ipc", ipc)
        config = registry.load("distill.methods", method).preset(about, ipc, preset)
        fields = [field.name for field in dataclasses.fields(config)]
        for name, value in changes.items():
            if name not in fields:
                raise unknown(f"setting of {method}", name, fields)
            changes[name] = of_kind(config, name, value)
        return cls(method, dataclasses.replace(config, **changes), ipc, seed)

    @property
    def module(self) -> ModuleType:
        """The method's file."""
        return registry.load("distill.methods", self.method)

    def identity(self, real: ImageSet, precision: str = FLOAT32) -> dict[str, Any]:
        """What the images made of the classes in `real` depend on."""
        return self._further(real.about, precision) | {
            "method": self.method,
            "version": self.module.VERSION,
            "config": self.config,
            "ipc": self.ipc,
            "seed": self.seed,
            "dataset": real.about.identity(),
            "digests": real.digests(),
            "normalisation": real.normalisation.describe(),
        }

    def _further(self, about: About, precision: str) -> dict[str, Any]:
        """Of a method that learns: what is not usual, its bank, a method that chose its start."""
        if not self.config.learns:
            return {}
        facts: dict[str, Any] = {} if precision == FLOAT32 else {"precision": precision}
        if not self.config.stepwise:
            return facts
        if self.config.trained:
            facts["bank"] = {"version": bank.VERSION, "points": bank.POINTS}
            facts["bank"] |= {"recipe": bank.recipe(about)}
        selection = learn.selection(self.config.start)
        if selection is not None:
            config = learn.selecting(selection, about, self.ipc)
            facts["start"] = {"version": selection.VERSION, "config": config}
        return facts


def distill(
    plan: Plan,
    real: ImageSet,
    *,
    compute: Compute = CPU,
    store: Store | None = None,
    progress: Progress | None = None,
) -> SyntheticSet:
    """The set that `plan` asks for of all classes in `real`, ordered by class id.

    What `store` holds of it is taken from there, one piece a class; where the method couples its
    classes, one piece for this very combination. What is missing is distilled in one go, from where
    a run that was broken off left it, and kept; what another run is making is waited for.

    Raises:
        Mistake: ipc does not fit the classes, what the method raises, or a folder that cannot be
            written to.
    """
    require_ipc(real, plan.ipc)
    progress = progress or Progress()
    if store is None:
        return _made(plan, real, compute, progress)
    places = pieces_of(plan, real, compute)
    pieces = _taken(plan, places, store)
    _forget(plan, [place for place in places if place.name in pieces], store)
    lacking = [place for place in places if place.name not in pieces]
    together = _together(plan, real)
    for first in range(0, len(lacking), together):
        some = lacking[first : first + together]
        paths = [store.path(place.name, KIND, place.facts) for place in some]
        with locks.all_held(paths, lambda: progress.say("waiting for another run of the same")):
            pieces |= _taken(plan, some, store)  # another run may have been quicker
            some = [place for place in some if place.name not in pieces]
            pieces |= _fresh(plan, real, some, store, compute, progress)
    return merge([pieces[place.name] for place in places])


def _together(plan: Plan, real: ImageSet) -> int:
    """How many pieces are made in one go; it changes no image."""
    piece = 14 * 4 * plan.ipc * math.prod(real.shape)
    return max(1, min(AT_ONCE, MEMORY // piece))


def _taken(plan: Plan, places: Sequence[PiecePlace], store: Store) -> dict[str, SyntheticSet]:
    """What the store holds of these pieces, by name."""
    kept = functools.partial(_kept, plan)
    pieces = {place.name: store.get(place.name, KIND, place.facts, of=kept) for place in places}
    return {name: piece for name, piece in pieces.items() if piece is not None}


def _fresh(
    plan: Plan,
    real: ImageSet,
    lacking: Sequence[PiecePlace],
    store: Store,
    compute: Compute,
    progress: Progress,
) -> dict[str, SyntheticSet]:
    """The missing pieces, made in one go, from where a run that was broken off left them; kept."""
    fresh = {}
    for group in begun(plan, lacking, store):
        labels = [label for place in group.places for label in place.labels]
        made = _made(plan, real.only(labels), compute, progress, group)
        for place in lacking:
            if set(place.labels) <= set(labels):
                part = fresh[place.name] = made.only(place.labels)
                store.put(place.name, KIND, place.facts, part.tensors(), part.facts())
        if not plan.config.extendable:
            group.drop()
    return fresh


def pieces_of(plan: Plan, real: ImageSet, compute: Compute) -> list[PiecePlace]:
    """Where a store keeps a set: one piece a class, or one where the classes are coupled.

    One that was compiled otherwise than by the rule, or that a GPU had to make deterministically,
    may round otherwise, and is another piece.
    """
    units = [real.present] if plan.config.couples_classes else [[label] for label in real.present]
    asked = plan.config.compiles and compute.compile != "auto"
    own: dict[str, Any] = {"compile": compute.compile} if asked else {}
    own |= {"deterministic": True} if compute.deterministic else {}
    return [
        PiecePlace(
            _name(plan, real, unit), plan.identity(real.only(unit), compute.precision) | own, unit
        )
        for unit in units
    ]


def begun(plan: Plan, lacking: Sequence[PiecePlace], store: Store) -> list[Checkpoints]:
    """The missing classes, those together that a run that was broken off left at one step."""
    if not lacking:
        return []
    if not plan.config.stepwise:
        return [Checkpoints(store, lacking)]
    return standing(store, states_of(plan, lacking), most=plan.config.iterations)


def states_of(plan: Plan, places: Sequence[PiecePlace]) -> list[PiecePlace]:
    """Where a store keeps the checkpoints of these pieces, of a method that learns."""
    config = plan.config
    if config.extendable:
        usual = next(f.default for f in dataclasses.fields(config) if f.name == "iterations")
        config = dataclasses.replace(config, iterations=usual)
    return [
        PiecePlace(f"{place.name}-state", place.facts | {"config": config}, place.labels)
        for place in places
    ]


def _forget(plan: Plan, finished: Sequence[PiecePlace], store: Store) -> None:
    """Delete the checkpoints of finished pieces that a run left which was killed just then."""
    if plan.config.stepwise and not plan.config.extendable:
        for place in states_of(plan, finished):
            if store.path(place.name, STATE, place.facts).exists():
                store.drop(place.name, STATE, place.facts)


def _kept(plan: Plan, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> SyntheticSet:
    """A piece of the store. A setting that came in after it was made had its default then."""
    part = SyntheticSet.of(tensors, facts)
    made = dataclasses.replace(part.made, config=dataclasses.asdict(plan.config))
    return dataclasses.replace(part, made=made)


def _name(plan: Plan, real: ImageSet, unit: list[int]) -> str:
    """Of a piece in the store, for people."""
    classes = "_".join(map(str, unit))[:40]
    return f"{real.name}-{plan.method}-ipc{plan.ipc}-class{classes}"


def _made(
    plan: Plan,
    real: ImageSet,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
) -> SyntheticSet:
    compute.enter()
    checkpoints = checkpoints or Checkpoints()
    checkpoints.start()
    images = plan.module.distill(
        real,
        plan.ipc,
        config=plan.config,
        seed=plan.seed,
        compute=compute,
        progress=progress,
        **({"checkpoints": checkpoints} if plan.config.learns else {}),
    )
    seconds, core_seconds = checkpoints.spent()
    made = Made(
        method=plan.method,
        version=plan.module.VERSION,
        dataset=real.about.identity(),
        digests=real.digests(),
        ipc=plan.ipc,
        seed=plan.seed,
        config=dataclasses.asdict(plan.config),
        normalisation=real.normalisation.describe(),
        versions={name: version(name) for name in ("torch", "torchvision")},
        precision=compute.precision if plan.config.learns else FLOAT32,
        seconds=round(seconds, 3),
        core_seconds=round(core_seconds, 3),
    )
    labels = torch.tensor(real.present).repeat_interleave(plan.ipc)
    flat = images.detach().float().cpu().flatten(0, 1)
    return SyntheticSet(flat, labels, real.classes, made, plan.config.formation)
