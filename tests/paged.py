"""A page of made-up records, and its figures worked out here."""

import pytest

from benchmarks import reported
from benchmarks.classification.page import pages as classification_pages
from benchmarks.continual.page import pages as continual_pages
from benchmarks.evidence import Run
from benchmarks.record import RESULTS
from distill.training.recipes import Recipe

SHORT = Recipe(epochs=9)
REPORTED = reported.read(RESULTS / "reported.csv")
PUBLISHED = next(
    row
    for row in REPORTED
    if (row.experiment, row.dataset, row.ipc, row.method, row.by)
    == ("classification", "cifar10", 1, "datadam", "authors")
)


def only(pages):
    (page,) = pages.values()
    return page


def page_of(*records, published=REPORTED):
    pages = continual_pages if records[0].kind == "continual" else classification_pages
    return only(pages(records, published))


def cells(page, place=-1):
    """The rows of a table as dictionaries."""
    return page.tables[place].frame.to_dict("records")


def final_runs(record):
    """The final accuracies, worked out here: every test image counts once."""
    values = []
    for order, own in enumerate(record.results.matrices):
        sizes = record.results.sizes[order]
        for network, matrix in enumerate(own):
            right = sum(a * size for a, size in zip(matrix[-1], sizes, strict=True))
            number = order % record.cell.making.sets
            values.append(Run(number, order, network, right / sum(sizes)))
    return values


def shown(estimate):
    return f"{estimate.mean:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def signed(estimate):
    """A difference, bold where its interval leaves out 0."""
    text = f"{estimate.mean:+.1f} [{estimate.low:+.1f}, {estimate.high:+.1f}]"
    text = text.replace("-", "\u2212")
    return f"**{text}**" if estimate.low > 0 or estimate.high < 0 else text


def check_numbers(row, name, estimate):
    for end, value in (("", estimate.mean), (" low", estimate.low), (" high", estimate.high)):
        assert row[name + end] == pytest.approx(value, abs=6e-4, nan_ok=True)
