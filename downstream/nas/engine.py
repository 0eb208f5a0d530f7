"""Architecture search on NNI: the space, the trials, the strategies and the in-process engine.

NNI is left out where it cannot be trusted: networks are initialised by the trial and not by NNI,
finished trials are kept in our own ledger, and a trial that failed is a row that says so.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import nni
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ExecutionEngine, Middleware, SequentialExecutionEngine
from nni.nas.execution.event import (
    FinalMetricEvent,
    ModelEvent,
    ModelEventType,
    TrainingEndEvent,
)
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.space import ExecutableModelSpace, ModelStatus, SimplifiedModelSpace
from nni.nas.strategy import TPE, Random, RegularizedEvolution
from nni.nas.strategy.base import Strategy

from distill.networks import Network
from distill.runtime.ledger import Ledger
from distill.runtime.progress import Progress
from downstream.nas import trial
from downstream.nas.own import opened
from downstream.nas.space import Space
from downstream.nas.trial import Job, TrialSettings

logging.getLogger("nni").setLevel(logging.CRITICAL)  # each failure is a row of the ledger instead


class Points(ModelSpace):
    """The points of a `Space`: a choice an axis, and no parameters of its own."""

    def __init__(self, symbol: Any, shape: Sequence[int], classes: int) -> None:
        """Of the space that `symbol` stands for (`Space.symbol`)."""
        super().__init__()
        for axis, options in opened(symbol, tuple(shape), classes).axes.items():
            self.add_mutable(nni.choice(axis, list(options)))

    @classmethod
    def create_fixed_module(
        cls, sample: dict[str, Any], symbol: Any, shape: Sequence[int], classes: int
    ) -> Network:
        """The plain network of a point; its weights are only drawn when its trial begins."""
        space = opened(symbol, tuple(shape), classes)
        return space.build(space.spec(sample))

    def freeze(self, sample: dict[str, Any]) -> Network:
        """The plain network of a point."""
        self.validate(sample)
        return self.create_fixed_module(sample, *self.trace_args, **self.trace_kwargs)


# ------------------------------------------------------------------ evaluators


def report(outcome: dict[str, Any]) -> None:
    """Tell NNI a trial's outcome; to a strategy, a network that cannot be trained is worth 0."""
    nni.report_final_result({"default": outcome["accuracy"] or 0.0, **outcome})


def evaluator_here(job: Job, progress: Progress) -> FunctionalEvaluator:
    """Trains in this process, on images that are already in memory."""

    def evaluate(network: Network) -> None:
        def watch(done: int) -> None:
            progress.advance(0, note=f"{network.spec} step {done} of {job.steps}")

        report(trial.evaluate(network, job, watch))

    return FunctionalEvaluator(evaluate)


def evaluator_elsewhere(settings: TrialSettings) -> FunctionalEvaluator:
    """Trains in a process of its own, which reads the images itself."""
    return FunctionalEvaluator(evaluate_elsewhere, settings=settings.dumps())


def evaluate_elsewhere(network: Network, settings: str) -> None:
    """What `evaluator_elsewhere` runs; it ends with the process that began it."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    report(trial.evaluate(network, trial.load(TrialSettings.loads(settings))))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


# ------------------------------------------------------------------ the ledger, around any engine


class Ledgered(Middleware):
    """An engine that answers for finished trials from the ledger and writes down new ones.

    A strategy that learns from results is told them in the order in which it asked for them, each
    when just so many later ones are under way: what it tries next depends on no clock, and a
    search that was broken off goes on as it would have.
    """

    def __init__(
        self,
        engine: ExecutionEngine,
        ledger: Ledger,
        *,
        space: Space,
        budget: int,
        progress: Progress,
        together: int | None = 1,
    ) -> None:
        """`budget` is in distinct networks.

        `together` trials are under way at once; None for as many as the engine takes, where the
        strategy learns nothing from them.
        """
        super().__init__()
        self.ledger, self.space, self.budget = ledger, space, budget
        self.progress, self.together = progress, together
        self.untold: deque[ExecutableModelSpace] = deque()
        self.models: list[ExecutableModelSpace] = []
        self.asked: dict[str, None] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.trouble: Exception | None = None
        self.lost = 0
        self.set_engine(engine)

    def set_engine(self, engine: ExecutionEngine) -> None:
        """Listen to what the engine measures."""
        super().set_engine(engine)
        engine.register_model_event_callback(ModelEventType.FinalMetric, self._measured)
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._ended)

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        """Run the models that the ledger does not know; answer for the others at once."""
        for model in models:
            self.models.append(model)
            self.untold.append(model)
            name = str(self.space.spec(model.sample))
            self.asked[name] = None
            row = self.ledger.finished(name)
            if row is None:
                self.engine.submit_models(model)
            else:
                metric = {"default": row["accuracy"] or 0.0}
                self.engine.dispatch_model_event(FinalMetricEvent(model, metric))
                self.engine.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))

    def _measured(self, event: FinalMetricEvent) -> None:
        outcome = dict(event.metric)
        if outcome.pop("default", None) is not None and outcome:
            self.answers[str(self.space.spec(event.model.sample))] = outcome

    def _ended(self, event: TrainingEndEvent) -> None:
        spec = self.space.spec(event.model.sample)
        if self.ledger.finished(str(spec)):
            return
        lost = {
            "status": "failed",
            "accuracy": None,
            "looks": [],
            "reason": f"no result came back (NNI says: {event.status.value})",
            "seconds": None,
        }
        outcome = self.answers.pop(str(spec), lost)
        self.lost += outcome is lost
        try:
            self.ledger.add({"network": str(spec), **outcome, **self.space.sizes(spec)})
        except Exception as error:  # may be on NNI's thread: budget_available() raises it on ours
            self.trouble = error
        self.progress.advance(note=f"{spec} {outcome['accuracy'] or outcome['status']}")

    def _tell(self, most: int) -> None:
        """Tell the strategy what came out, in the order it asked, until `most` are untold."""
        while len(self.untold) > most and self.untold[0].status.completed():
            model = self.untold.popleft()
            if model.metrics.final is not None:
                self._call(FinalMetricEvent(model, model.metrics.final))
            self._call(TrainingEndEvent(model, model.status))

    def _call(self, event: ModelEvent) -> None:
        for callback in list(self._callbacks[event.event_type]):
            callback(event)

    def idle_worker_available(self) -> bool:
        """Whether a model can be submitted without waiting."""
        if self.together is None:
            self._tell(0)
        else:
            self._tell(self.together - 1)
            if len(self.untold) >= self.together:
                return False
        return self.engine.idle_worker_available()

    def budget_available(self) -> bool:
        """Whether more models may be submitted.

        Raises:
            Mistake: the ledger could not be written.
        """
        if self.trouble is not None:
            raise self.trouble
        repeats = len(self.models) - len(self.asked)
        spent = len(self.asked) >= self.budget or repeats > 10 * self.budget
        return not spent and self.engine.budget_available()

    def list_models(self, status: ModelStatus | None = None) -> list[ExecutableModelSpace]:
        """Every model submitted."""
        return [m for m in self.models if status is None or m.status == status]

    def wait_models(self, *models: ExecutableModelSpace) -> None:
        """Wait until all have ended."""
        while any(not model.status.completed() for model in models or self.models):
            self.engine.budget_available()  # raises if the engine is gone
            time.sleep(0.2)
        self._tell(0)
        if self.trouble is not None:
            raise self.trouble

    def shutdown(self) -> None:
        """Stop the engine."""
        self.engine.shutdown()


# ------------------------------------------------------------------ strategies


class Listed(Strategy):
    """Tries the points of a list, in its order."""

    def __init__(self, points: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self.points = points

    def _run(self) -> None:
        for point in self.points:
            if not self.wait_for_resource():
                return
            self.engine.submit_models(self.model_space.freeze(point))


def strategy(
    name: str, *, points: Sequence[dict[str, Any]], axes: int, budget: int, seed: int
) -> Strategy:
    """`grid` tries the list `points`; `random`, `evolution` and `tpe` search a space of axes."""
    population = max(2, min(20, budget // 4))
    makers = {
        "grid": lambda: Listed(points),
        "random": lambda: Random(seed=seed),
        "evolution": lambda: RegularizedEvolution(
            population_size=population,
            sample_size=max(1, population // 4),
            mutation_prob=1 / axes,  # one of them, on average
            seed=seed,
        ),
        "tpe": lambda: TPE(optimize_mode="maximize", seed=seed),
    }
    return makers[name]()


# ------------------------------------------------------------------ the in-process engine


def run_here(
    search: Strategy, space: Points, job: Job, *, ledgered: Callable[..., Ledgered]
) -> list[str]:
    """Run a strategy in this process, one trial after the other: no server, no file, no port.

    Returns:
        The names of the networks tried, in order.
    """
    engine = ledgered(SequentialExecutionEngine(continue_on_failure=True))
    evaluator = evaluator_here(job, engine.progress)
    search(SimplifiedModelSpace.from_model(space, evaluator), engine)
    engine.wait_models()
    return list(engine.asked)
