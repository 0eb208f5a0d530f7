"""What a set is worth: the accuracy of networks trained on it, from the records that used it."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.classification import rows as classification
from benchmarks.continual import rows as continual
from benchmarks.record import Record
from benchmarks.report.compared import KINDS, setting
from distill.synthetic import SyntheticSet
from downstream.continual import metrics


class JudgedSets(NamedTuple):
    """Sets as one protocol judges them.

    Attributes:
        setting: which, in words; nothing where no record has any of the sets.
        labels: what the records call the sets, by digest. values: accuracies in percent, by digest.
        numbers: which set of its record, of any protocol, each is, by digest.
    """

    setting: str
    labels: dict[str, str]
    values: dict[str, list[float]]
    numbers: dict[str, int]

    def firsts(self, sets: Sequence[SyntheticSet]) -> list[SyntheticSet]:
        """Of each label the first set that was judged; of a method without one its first."""
        judged = {own.made.method for own in sets if own.digest() in self.values}
        by_label: dict[str, SyntheticSet] = {}
        for own in sorted(sets, key=lambda own: self.numbers.get(own.digest(), math.inf)):
            digest, method = own.digest(), own.made.method
            if digest in self.values or method not in judged:
                by_label.setdefault(self.labels.get(digest, method), own)
        return [*by_label.values()]

    def accuracy(self, digest: str) -> str:
        """`24.5 % (n = 6)`, or nothing where it is not known."""
        own = self.values.get(digest)
        return f"{statistics.fmean(own):.1f} % (n = {len(own)})" if own else ""


def of_sets(sets: Sequence[SyntheticSet], records: Sequence[Record]) -> JudgedSets:
    """By the protocol that judged most of the sets, on test images; it may have judged none.

    Of several such the sets alone count before continual learning, ConvNets before other networks,
    and more epochs before fewer.
    """
    wanted, numbers = {small.digest() for small in sets}, {}
    found: dict[str, dict[str, tuple[Record, list[float]]]] = {}
    for record in records:
        judges = record.kind in ("classification", "continual")
        if not judges or record.protocol.dataset.judged_on != "test":
            continue
        for number, used in enumerate(record.sets):
            numbers.setdefault(used.digest, number)
        for digest, own in _values(record).items():
            known = found.get(record.protocol_key, {}).get(digest, (record, []))
            if digest in wanted and len(own) > len(known[1]):  # of two records that of more runs
                found.setdefault(record.protocol_key, {})[digest] = record, own

    def place(own: dict) -> tuple:
        record, _ = next(iter(own.values()))
        alone, p = record.kind == "classification", record.protocol
        usual = p.network.startswith("convnet")
        return len(own), alone, usual, p.recipe.epochs, record.protocol_key

    if not found:
        return JudgedSets("", {}, {}, numbers)
    most = max(found.values(), key=place)
    record, _ = next(iter(most.values()))
    words = f"{KINDS[record.kind]}, {setting(record)}"
    labels = {digest: record.label for digest, (record, _) in most.items()}
    values = {digest: values for digest, (_, values) in most.items()}
    return JudgedSets(words, labels, values, numbers)


def _values(record: Record) -> dict[str, list[float]]:
    """The accuracies of the networks trained on each set of a record, by the set's digest."""
    if record.kind == "continual":
        runs = continual.runs(record, metrics.final_accuracy)
    else:
        runs = classification.runs(record)
    by_digest: dict[str, list[float]] = {}
    for number, used in enumerate(record.sets):
        own = [run.value for run in runs if run.set == number]
        by_digest.setdefault(used.digest, []).extend(own)
    return by_digest
