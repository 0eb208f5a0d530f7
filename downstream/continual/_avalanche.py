"""What is used of Avalanche, imported in one place: its import is slow and full of warnings."""

import os
import warnings

# It imports wandb, which nothing here uses: it is not to report to its makers.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from avalanche.benchmarks import CLExperience, CLScenario, class_incremental_benchmark
    from avalanche.benchmarks.utils import AvalancheDataset, ConstantSequence, DataAttribute
    from avalanche.evaluation import PluginMetric
    from avalanche.evaluation.metric_results import MetricValue
    from avalanche.logging import BaseLogger, CSVLogger, TensorboardLogger
    from avalanche.training import Naive
    from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
    from avalanche.training.storage_policy import ExemplarsBuffer

__all__ = [
    "AvalancheDataset",
    "BaseLogger",
    "CLExperience",
    "CLScenario",
    "CSVLogger",
    "ConstantSequence",
    "DataAttribute",
    "EvaluationPlugin",
    "ExemplarsBuffer",
    "MetricValue",
    "Naive",
    "PluginMetric",
    "SupervisedPlugin",
    "TensorboardLogger",
    "class_incremental_benchmark",
]
