"""What an ablation will take, told before it begins."""

import math
from typing import TYPE_CHECKING

from distill import beforehand, matching, networks, pattern
from distill.plan import Plan
from distill.runtime.store import Store

if TYPE_CHECKING:
    from benchmarks.classification.run import Judging

RATE = 50e9
"""FLOP a second that a core is taken to do: assumed, about what one did here in float32."""
BACKWARD = 3
"""Forward passes that a step of training is worth."""


def told(judging: "Judging") -> list[str]:
    """Lines: how many sets and networks, what is there already, about how long the rest takes."""
    wanted = beforehand.joined(judging.wanted())
    lacking, _ = beforehand.missing(wanted, judging, Store(judging.sets))
    plans = {plan for plan, _ in wanted}
    missing = {plan for plan, _ in lacking}
    trained = len(judging.rows) * judging.count * judging.networks
    settings = len({row.plan for row in judging.rows})
    specs = len({row.spec for row in judging.rows})
    on = f" on each of {specs} networks" if specs > 1 else ""
    known = sum(distilling(plan, judging) * len(labels) for plan, labels in lacking)
    flops = known + training(judging)
    return [
        f"plan: {settings} settings x {judging.count} sets, {judging.networks} trained on each "
        f"set{on}: {len(plans)} sets and {trained} trainings of {judging.recipe.epochs} epochs",
        f"there already: {len(plans - missing)} of {len(plans)} sets; all else takes at most "
        f"{_minutes(flops / RATE)} of one core (at {RATE / 1e9:g} GFLOP/s, assumed)",
    ]


def distilling(plan: Plan, judging: "Judging") -> float:
    """FLOPs of one class's share of a set; 0 of a method that matches no statistics."""
    config, real = plan.config, judging.real
    if not isinstance(config, matching.Config):
        return 0.0
    specs = pattern.parse(config.network).members
    sizes = [networks.size(spec, real.shape, len(real.classes))[1] for spec in specs]
    targets = (config.networks or config.iterations) * config.real_batch
    shown = config.iterations * plan.ipc * config.formation**2 * BACKWARD
    return (targets + shown) * sum(sizes) / len(sizes)


def training(judging: "Judging") -> float:
    """FLOPs of all trainings."""
    real, total = judging.real, 0.0
    for row in judging.rows:
        _, flops = networks.size(row.spec, real.shape, len(real.classes))
        shown = len(real.present) * row.plan.ipc * row.plan.config.formation**2
        total += flops * shown * judging.recipe.epochs * BACKWARD
    return total * judging.count * judging.networks


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return "a minute"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
