"""What programs and Avalanche's own parts are given: the storage policy, the example, loggers."""

import csv
import dataclasses
import functools
import re
import runpy
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import distill
from distill import datasets
from distill.images import Normalisation
from distill.runtime.mistake import Mistake
from distill.training.recipes import Recipe
from downstream.continual import DistilledBuffer, class_incremental, loggers
from downstream.continual.metrics import seen_accuracy
from downstream.continual.protocol import Protocol
from downstream.continual.run import run_order

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "avalanche_replay.py"
PROTOCOL = Protocol(
    steps=3,
    strategy="retrain",
    network="convnet-d2-w8",
    networks=2,
    recipe=Recipe(epochs=20, operations=()),
    seed=0,
    orders=1,
    sets=1,
)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").normalised_by(Normalisation.fixed(1))


def python(*arguments):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_forgets_less_than_without_its_memory(capsys):
    with_memory = python(EXAMPLE, "--method", "random")
    with torch.random.fork_rng():
        runpy.run_path(str(EXAMPLE))["main"](["--ipc", "0"])
    accuracies = [
        float(re.fullmatch(r"final accuracy: (\S+) %", output.splitlines()[-1])[1])
        for output in (with_memory, capsys.readouterr().out)
    ]
    assert accuracies[0] > accuracies[1] + 15
    assert "Top1_Acc_Exp/eval_phase/test_stream/Exp004" in with_memory  # of the stock logger


def test_avalanche_is_imported_only_when_it_is_used():
    code = (
        "import sys, downstream.continual\n"
        "from downstream.continual import loggers, metrics, protocol\n"
        "print('avalanche' in sys.modules)"
    )
    assert python("-c", code) == "False\n"


def test_the_policy_hands_out_what_a_network_is_shown(digits):
    small = {"network": "convnet-d2-w8", "networks": 2, "real_batch": 20, "iterations": 2}
    buffer = DistilledBuffer.of("dm", digits.train, ipc=1, device="cpu", formation=2, **small)
    for count, experience in enumerate(class_incremental(digits, steps=5).train_stream, 1):
        buffer.post_adapt(None, experience)
        assert len(buffer.buffer) == 2 * count * 4  # two classes a step, 2 x 2 images in each
    assert buffer.max_size == 10
    decoded, labels = buffer.held.decoded()
    for place in (0, 17, 39):
        image, label, task = buffer.buffer[place]
        assert torch.allclose(image, (decoded[place] - 0.5) / 0.25)
        assert (int(label), task) == (int(labels[place]), 0)


def test_a_memory_that_cannot_be_is_refused_before_the_first_step(digits):
    with pytest.raises(Mistake, match="the normalisation of digits was fitted"):
        DistilledBuffer.of("random", datasets.load("digits").train, ipc=1)
    with pytest.raises(Mistake, match="unknown setting of dm 'iteration'.*mean iterations"):
        DistilledBuffer.of("dm", digits.train, ipc=1, iteration=2)
    with pytest.raises(Mistake, match="--ipc 500 is more than"):
        DistilledBuffer.of("random", digits.train, ipc=500)


def test_a_class_comes_once_and_must_have_images(digits):
    steps = class_incremental(digits, steps=5, order=0).train_stream
    buffer = DistilledBuffer.of("random", digits.train, ipc=1, device=torch.device("cpu"))
    buffer.post_adapt(None, steps[0])
    with pytest.raises(Mistake, match=r"the classes \[2, 8\] are in the memory already"):
        buffer.post_adapt(None, steps[0])
    narrow = DistilledBuffer.of("random", digits.train.only([0, 1, 2]), ipc=1, device="cpu")
    with pytest.raises(Mistake, match=r"holds the classes \[8\], of which digits has no images"):
        narrow.post_adapt(None, steps[0])


def logged_run(data, name, folder, protocol=PROTOCOL):
    with loggers.opened(name, folder) as opened:
        result = run_order(
            data,
            functools.partial(distill.distill, "random", ipc=5, device="cpu"),
            ipc=5,
            protocol=protocol,
            order=1,
            loggers=opened,
        )
    return result, opened


def mean(matrices, step, group):
    """As a fraction."""
    return statistics.fmean(matrix[step][group] for matrix in matrices) / 100


def test_the_csv_log_holds_the_matrix(digits, tmp_path):
    (_, matrices), (logger,) = logged_run(digits, "csv", tmp_path)
    assert logger.eval_file.closed and logger.training_file.closed

    with (tmp_path / "eval_results.csv").open() as file:
        rows = {
            (int(row["training_exp"]), int(row["eval_exp"])): row for row in csv.DictReader(file)
        }
    assert list(rows) == [(i, j) for i in range(3) for j in range(i + 1)]
    for (i, j), row in rows.items():
        accuracy, first = mean(matrices, i, j), mean(matrices, j, j)
        assert float(row["eval_accuracy"]) == pytest.approx(accuracy, abs=1e-4)
        assert float(row["forgetting"]) == pytest.approx(first - accuracy, abs=1e-4)

    with (tmp_path / "training_results.csv").open() as file:
        epochs = list(csv.DictReader(file))
    assert len(epochs) == 3 * 20
    first, last = epochs[0], epochs[19]
    assert float(first["training_loss"]) == pytest.approx(2.3, abs=0.3)  # of ten classes, unlearned
    assert float(last["training_loss"]) < float(first["training_loss"])
    assert float(last["training_accuracy"]) > float(first["training_accuracy"])


@pytest.mark.parametrize("strategy", ["retrain", "replay"])
def test_a_recipe_with_cutmix_runs_and_is_logged(digits, strategy, tmp_path):
    recipe = Recipe(epochs=8, rate=0.1, batch=32, operations=(), cutmix=1.0)
    mixed = dataclasses.replace(PROTOCOL, strategy=strategy, recipe=recipe)
    (_, matrices), _ = logged_run(digits, "csv", tmp_path, mixed)
    plain = dataclasses.replace(mixed, recipe=dataclasses.replace(recipe, cutmix=0.0))
    assert logged_run(digits, None, tmp_path, plain)[0].matrices != matrices
    with (tmp_path / "training_results.csv").open() as file:
        epochs = list(csv.DictReader(file))
    assert len(epochs) == 3 * 8
    first, last = epochs[0], epochs[7]
    assert float(last["training_accuracy"]) > float(first["training_accuracy"])
    assert float(first["training_loss"]) > float(last["training_loss"]) > 0.3, "mixed: never sure"


def test_the_tensorboard_log_holds_the_matrix(digits, tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (sizes, matrices), _ = logged_run(digits, "tensorboard", tmp_path)
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    for j in range(3):
        logged = events.Scalars(f"Top1_Acc_Exp/eval_phase/test_stream/Exp{j:03}")
        expected = [mean(matrices, i, j) for i in range(j, 3)]
        assert [event.value for event in logged] == pytest.approx(expected, abs=1e-6)
    seen = [event.value for event in events.Scalars("Top1_Acc_Stream/eval_phase/test_stream")]
    curve = [
        statistics.fmean(seen_accuracy(matrix, sizes, step) for matrix in matrices)
        for step in range(3)
    ]
    assert [100 * value for value in seen] == pytest.approx(curve, abs=1e-3)


def test_logging_changes_no_figure(digits, tmp_path):
    assert logged_run(digits, "csv", tmp_path)[0] == logged_run(digits, None, tmp_path)[0]


def test_an_unknown_logger_is_refused(tmp_path):
    with (
        pytest.raises(Mistake, match="unknown logger 'cvs'.*mean csv"),
        loggers.opened("cvs", tmp_path),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(Mistake, match="cannot write the csv log"),
        loggers.opened("csv", tmp_path / "file"),
    ):
        pass
