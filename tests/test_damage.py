"""Whatever happens to a file that is read: a clear line, or the right result.

pytest tests/test_damage.py              a few cases of each kind of file
pytest -m faults tests/test_damage.py    many
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from distill.runtime.mistake import Mistake

from damage import damaged, no_hang
from samples import KINDS

FEW, MANY = 4, 30
"""Cases of each kind."""
HEALTH = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
LONGEST = 600
"""Letters of a line."""


@pytest.fixture(scope="module")
def sample_of(tmp_path_factory, digits):
    """A file of a kind, built once."""
    built = {}

    def sample(kind):
        if kind not in built:
            built[kind] = KINDS[kind](tmp_path_factory.mktemp("sample"), digits)
        return built[kind]

    return sample


def outcome(sample, content):
    """What came of reading the file with this content instead; an AssertionError if it lies."""
    sample.restore()
    sample.path.write_bytes(content)
    said = []
    try:
        with no_hang():
            result = sample.read(said)
    except Mistake as mistake:
        line = str(mistake)
        assert not sample.redone, f"refused, and not set aside: {line}"
        assert "\n" not in line and len(line) < LONGEST, f"no clear line: {line}"
        assert sample.named in line, f"{sample.named} is not named: {line}"
        return "refused"
    if not sample.sealed and result != sample.result:
        return "another identity"
    assert result == sample.result, "another result, and not a word"
    if said:
        (line,) = said
        assert sample.redone and str(sample.path) in line and "\n" not in line, line
        assert sample.path.with_suffix(".damaged").read_bytes() == content, "not kept aside"
        return "redone"
    return "the same"


def tried(sample, cases):
    """Every so many cases; which ways had which outcomes."""
    counts = Counter()

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=HEALTH,
        phases=[Phase.generate, Phase.shrink],
    )
    @given(damaged(sample.whole, sample.other))
    def case(damage):
        way, content = damage
        if content != sample.whole:
            counts[outcome(sample, content)] += 1

    case()
    return counts


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_gives_a_line_or_the_right_result(sample_of, kind):
    assert tried(sample_of(kind), FEW).total() > 0


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_files_damaged_in_many_ways_give_a_line_or_the_right_result(sample_of, kind):
    counts = tried(sample_of(kind), MANY)
    assert counts.total() >= MANY // 2 and counts.keys() != {"the same"}
    print(f"{kind}: {dict(counts)}")


def test_what_reads_wrongly_is_found_out(sample_of):
    """These tests can fail: a reader that believes everything, one that raises, one that hangs."""
    sample = sample_of("ledger")
    whole = sample.read

    def trusting(said):
        return sample.path.read_bytes()

    def raising(said):
        raise KeyError("x")

    cases = [(trusting, AssertionError), (raising, KeyError)]
    for reader, error in cases:
        sample.read = reader
        with pytest.raises(error):
            outcome(sample, sample.whole[:-30])
    sample.read = whole
    assert outcome(sample, sample.whole[:-30]) == "the same"
    with pytest.raises(AssertionError, match="hangs"), no_hang(0.05):
        while True:
            pass
