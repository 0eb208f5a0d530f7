"""One class order from the first step to the last."""

import functools
import warnings
from collections.abc import Callable, Sequence

from distill.images import Data
from distill.runtime.compute import CPU, Compute
from distill.runtime.progress import Progress
from distill.training import passes
from downstream.continual._avalanche import BaseLogger, EvaluationPlugin
from downstream.continual.buffer import Distill, DistilledBuffer
from downstream.continual.data import class_incremental
from downstream.continual.evaluation import Accuracies, Training
from downstream.continual.metrics import OrderResult
from downstream.continual.protocol import Protocol
from downstream.continual.reference import Reference
from downstream.continual.steps import Steps
from downstream.continual.strategies import PLUGINS, Cumulative, InPieces, Rehearsal, Replay


def run_order(
    data: Data,
    distill: Distill | Reference,
    *,
    ipc: int,
    protocol: Protocol,
    order: int,
    compute: Compute = CPU,
    progress: Progress | None = None,
    loggers: Sequence[BaseLogger] = (),
    steps: Steps | None = None,
) -> OrderResult:
    """Go through one class order.

    Args:
        data: normalised by `Normalisation.fixed`.
        distill: fills the buffer, a step at a time, with `ipc` stored images a class; or a memory
            of real images that is no method's.
        order: the number of the class order.
        compute: of the training; `distill` knows its own.
        progress: started by the caller; it counts epochs.
        loggers: Avalanche's (`loggers.opened`); they are left open.
        steps: where the order stands; it goes on from there, and each step is kept there.

    Returns:
        The number of test images of each step and one accuracy matrix a network.

    Raises:
        Mistake: steps that the classes do not fit, a fitted normalisation, or what `distill`
            raises.
    """
    compute.enter()
    benchmark = class_incremental(data, steps=protocol.steps, order=order)
    plugin = _plugin(data, distill, ipc, protocol)(
        protocol, order=order, progress=progress or Progress()
    )
    accuracies = Accuracies(data.test, compute)
    evaluator = _evaluator(accuracies, loggers)
    strategy = _fine_tuning(plugin, evaluator, compute=compute)
    if steps is not None and steps.standing is not None:
        plugin.go_on(strategy, benchmark.train_stream[: steps.done], steps.standing.tensors)
        accuracies.go_on(steps.standing.rows)
    for step in range(steps.done if steps else 0, protocol.steps):
        strategy.train(benchmark.train_stream[step], eval_streams=[])
        strategy.eval(benchmark.test_stream[: step + 1])
        if steps is not None:
            steps.keep(accuracies.plain(), plugin.state(strategy))
    sizes = [len(experience.dataset) for experience in benchmark.test_stream]
    return OrderResult(sizes, accuracies.result())


def _plugin(
    data: Data, distill: Distill | Reference, ipc: int, protocol: Protocol
) -> Callable[..., Rehearsal]:
    """The strategy with its memory, but for the class order."""
    kind = PLUGINS[protocol.strategy]
    if not isinstance(distill, Reference):
        buffer = DistilledBuffer(data.train, distill, max_size=ipc * len(data.train.classes))
        return functools.partial(kind, buffer)
    if distill.method == "joint" and kind is Replay:
        kind = Cumulative
    return functools.partial(kind, distill.memory(data.train))


def _evaluator(accuracies: Accuracies, loggers: Sequence[BaseLogger]) -> EvaluationPlugin:
    """What measures during the run; the figures of training only if someone is told of them."""
    metrics = [accuracies, Training()] if loggers else [accuracies]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No loggers specified")
        return EvaluationPlugin(*metrics, loggers=list(loggers), collect_all=False)


def _fine_tuning(plugin: Rehearsal, evaluator: EvaluationPlugin, *, compute: Compute) -> InPieces:
    """Avalanche's plain fine-tuning, made into a rehearsal strategy by `plugin`."""
    recipe, networks = plugin.protocol.recipe, plugin.networks(compute.device)
    strategy = InPieces(
        model=networks,
        optimizer=recipe.optimiser(networks),
        criterion=passes.cross_entropy,
        train_mb_size=recipe.batch,
        train_epochs=recipe.epochs,
        device=compute.device,
        plugins=[plugin],
        evaluator=evaluator,
    )
    strategy.compute = compute
    return strategy
