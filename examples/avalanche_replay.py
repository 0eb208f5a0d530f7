"""Replay from distilled images with nothing but Avalanche's own parts: some 20 s on one core.

    python examples/avalanche_replay.py            # a memory of one image a class, made by DataDAM
    python examples/avalanche_replay.py --ipc 0    # the same without a memory

The strategy, the replay plugin, the network, the metrics and the loggers are Avalanche's; only the
storage policy is ours. The digits come with scikit-learn, so nothing is downloaded.
"""

import argparse

import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import InteractiveLogger
from avalanche.models import SimpleMLP
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin

import distill
from distill.images import Normalisation
from downstream.continual import DistilledBuffer, class_incremental


def main(args: list[str] | None = None) -> None:
    """Learn the ten digits two at a time, then say how many of all are still known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="datadam", help="how the memory is made")
    parser.add_argument("--ipc", type=int, default=1, help="images a class; 0 for no memory")
    chosen = parser.parse_args(args)

    torch.manual_seed(0)  # Avalanche draws its mini-batches from the global generator

    # A normalisation fitted on all classes would tell the first step of the last one's images.
    data = distill.load_dataset("digits").normalised_by(Normalisation.fixed(1))
    benchmark = class_incremental(data, steps=5)

    plugins = []
    if chosen.ipc:
        buffer = DistilledBuffer.of(chosen.method, data.train, ipc=chosen.ipc, device="cpu")
        plugins = [ReplayPlugin(mem_size=buffer.max_size, storage_policy=buffer)]

    model = SimpleMLP(num_classes=10, input_size=64, hidden_size=128, drop_rate=0)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=32,
        train_epochs=5,
        eval_mb_size=256,
        plugins=plugins,
        evaluator=EvaluationPlugin(
            accuracy_metrics(experience=True, stream=True), loggers=[InteractiveLogger()]
        ),
    )
    metrics = {}
    for step, experience in enumerate(benchmark.train_stream):
        strategy.train(experience)
        metrics = strategy.eval(benchmark.test_stream[: step + 1])
    final = metrics["Top1_Acc_Stream/eval_phase/test_stream"]
    print(f"final accuracy: {100 * final:.1f} %")


if __name__ == "__main__":
    main()
