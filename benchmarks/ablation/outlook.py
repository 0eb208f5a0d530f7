"""What an ablation will take, told before it begins."""

import math
from typing import TYPE_CHECKING

from distill import networks, pattern
from distill.objectives import matching
from distill.plan import Plan
from distill.runtime.store import Store
from distill.sets import beforehand

if TYPE_CHECKING:
    from benchmarks.classification.run import Judging

RATE, OVERHEAD = 50e9, 1.5e-3
"""FLOP a second that a core is taken to do, and seconds that a step takes besides: about what was
seen in float32."""
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
    seconds = sum(distilling(plan, judging) * len(labels) for plan, labels in lacking)
    seconds += training(judging)
    return [
        f"plan: {settings} settings x {judging.count} sets, {judging.networks} trained on each "
        f"set{on}: {len(plans)} sets and {trained} trainings of {judging.recipe.epochs} epochs",
        f"there already: {len(plans - missing)} of {len(plans)} sets; all else takes about "
        f"{_minutes(seconds)} of one core (taken to do {RATE / 1e9:g} GFLOP/s)",
    ]


def distilling(plan: Plan, judging: "Judging") -> float:
    """Seconds of one class's share of a set; 0 of a method that matches no statistics."""
    config, real = plan.config, judging.real
    if not isinstance(config, matching.Config):
        return 0.0
    specs = pattern.parse(config.network).members
    sizes = [networks.size(spec, real.shape, len(real.classes))[1] for spec in specs]
    targets = config.networks or config.iterations
    shown = config.iterations * plan.ipc * config.formation**2 * BACKWARD
    flops = (targets * config.real_batch + shown) * sum(sizes) / len(sizes)
    return flops / RATE + (targets + config.iterations) * OVERHEAD


def training(judging: "Judging") -> float:
    """Seconds of all trainings."""
    real, recipe, total = judging.real, judging.recipe, 0.0
    for row in judging.rows:
        _, flops = networks.size(row.spec, real.shape, len(real.classes))
        shown = len(real.present) * row.plan.ipc * getattr(row.plan.config, "formation", 1) ** 2
        steps = recipe.epochs * recipe.batches(shown)
        total += flops * shown * recipe.epochs * BACKWARD / RATE + steps * OVERHEAD
    return total * judging.count * judging.networks


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return "a minute"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
