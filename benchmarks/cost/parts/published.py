"""What the published protocol takes: hours, so estimated from measured steps."""

import itertools

from benchmarks.cost import training, work
from benchmarks.cost.clock import computing, milliseconds, seconds, take_turns, timed
from benchmarks.cost.settings import Timing
from distill.methods import datadam
from distill.runtime.compute import Compute
from distill.training.recipes import Recipe

TITLE = "The published protocol, estimated from its steps"
NOTE = """\
DataDAM with --preset paper on images of 32x32 in 10 classes: one set, and 5 networks trained on it
for 1,000 epochs, one after the other. Measured are a matching step and a training step on one
mini-batch, as the suite does them for as long a run (--compile auto), after the compiler is done;
the minutes are these times the number of steps. The accuracy of the networks takes seconds more.
"""
SHAPE, CLASSES, NETWORKS = (3, 32, 32), 10, 5
CASES = (1, 10, 50)
"""Images a class."""
STEPS = 4
"""Of training, in one turn."""


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a number of images, of threads, and precision."""
    table = []
    for ipc in CASES:
        for compute in itertools.chain(*settings.computes(SHAPE, compile="auto")):
            with computing(compute):
                row = _row(ipc, compute, settings.turns)
            with_what = {"precision": compute.precision, "threads": compute.threads}
            table.append({"images a class": ipc, **with_what, **row})
    return table


def _row(ipc: int, compute: Compute, turns: int) -> dict[str, float]:
    config, recipe = paper(ipc), Recipe()
    size = work.MatchingSize(SHAPE, config.network, CLASSES, ipc, config.real_batch)
    at_once = min(recipe.batch // CLASSES, ipc) * CLASSES
    trained = training.TrainingSize(SHAPE, config.network, at_once)
    ways = [work.step(size, compute), training.ours(trained, STEPS, compute)]
    step, steps = take_turns([timed(way, again=True) for way in ways], turns)
    minutes = (
        config.iterations * seconds(step) / 60,
        NETWORKS * recipe.epochs * CLASSES * ipc * seconds(steps, STEPS * at_once) / 60,
    )
    return {
        "step s": seconds(step),
        "training ms an image": milliseconds(steps, STEPS * at_once),
        "distilling min (estimate)": round(minutes[0], 1),
        "training min (estimate)": round(minutes[1], 1),
        "both min (estimate)": round(sum(minutes), 1),
    }


def paper(ipc: int) -> datadam.Config:
    """The configuration of --preset paper."""
    facts = work.noise_images(SHAPE, CLASSES, 1).about
    return datadam.preset(facts, ipc, "paper")
