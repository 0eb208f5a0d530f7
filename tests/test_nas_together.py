"""Searches whose trials run at once: what they try depends on no clock."""

import threading
import time
from types import SimpleNamespace

import pytest
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent
from nni.nas.space import ModelStatus, SimplifiedModelSpace

from distill.runtime.ledger import Ledger
from distill.runtime.progress import Progress
from downstream.nas import engine
from downstream.nas.space import ConvNets

LAPTOP = ConvNets("laptop", (1, 8, 8), 10)


class Threads(ExecutionEngine):
    """Runs two trials at once, each for as long as `seconds` says of its place among all."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.under_way, self.count, self.order = seconds, 0, 0, []
        self.one = threading.Lock()  # NNI's service also tells of one trial after the other

    def submit_models(self, *models):
        for model in models:
            seconds = self.seconds(self.count)
            self.count, self.under_way = self.count + 1, self.under_way + 1
            model.status = ModelStatus.Training
            threading.Thread(target=self._try, args=(model, seconds), daemon=True).start()

    def _try(self, model, seconds):
        time.sleep(seconds)
        with self.one:
            self.order.append(str(LAPTOP.spec(model.sample)))
            accuracy = float(sum(map(ord, self.order[-1])) % 97)
            outcome = {"status": "trained", "accuracy": accuracy, "looks": [], "reason": None}
            given = {"default": accuracy, **outcome, "seconds": seconds}
            self.dispatch_model_event(FinalMetricEvent(model, given))
            self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))
            self.under_way -= 1

    def idle_worker_available(self):
        return self.under_way < 2

    def budget_available(self):
        return True


def search(folder, strategy, seconds):
    """The networks tried, in the order asked for and in the order in which they ended."""
    threads = Threads(seconds)
    ledgered = engine.Ledgered(
        threads,
        Ledger(folder, "digits", {"of": "this test"}),
        space=LAPTOP,
        budget=10,
        progress=Progress(),
        together=2,
    )
    points = engine.Points("laptop", [1, 8, 8], 10)
    model = SimplifiedModelSpace.from_model(points, FunctionalEvaluator(print))
    engine.strategy(strategy, points=[], axes=5, budget=10, seed=0)(model, ledgered)
    ledgered.wait_models()
    return list(ledgered.asked), threads.order


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """NNI's strategies look for a place once a second."""
    quick = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 100))
    for name in ("base", "hpo"):
        monkeypatch.setattr(f"nni.nas.strategy.{name}.time", quick)


@pytest.mark.parametrize("strategy", ["evolution", "tpe"])
def test_what_a_search_tries_does_not_depend_on_which_trial_ends_first(strategy, tmp_path):
    runs = []
    for name, late in (("even", 0), ("odd", 1)):
        folder = tmp_path / name
        asked, ended = search(folder, strategy, lambda place, late=late: 0.05 * (place % 2 == late))
        assert len(asked) == 10 and ended != asked
        runs.append((asked, ended))
    assert runs[0][0] == runs[1][0] and runs[0][1] != runs[1][1]


def test_a_search_that_was_broken_off_goes_on_as_it_would_have(tmp_path):
    unbroken, _ = search(tmp_path / "unbroken", "evolution", lambda place: 0.02)
    whole = Ledger(tmp_path / "unbroken", "digits", {"of": "this test"})
    part = Ledger(tmp_path / "broken", "digits", {"of": "this test"})
    for network in (unbroken[0], unbroken[1], unbroken[3], unbroken[6]):
        part.add(whole.rows[network])
    asked, ended = search(tmp_path / "broken", "evolution", lambda place: 0.02 * (place % 3))
    assert asked == unbroken and len(ended) == 6
