"""Records: their schemas, their digests, their versions, and who refuses one that was changed."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import benchmarks.nas.run
import benchmarks.provenance
import benchmarks.record
import benchmarks.reported
from benchmarks import tables
from benchmarks.classification import __main__ as classification
from benchmarks.continual import __main__ as continual
from benchmarks.nas import __main__ as nas
from benchmarks.record import Expired, Record, kinds, read, read_one
from distill.runtime import identity
from distill.runtime.flags import cli
from distill.runtime.mistake import Mistake

from records import EVERY, classification_record, continual_record

KINDS = kinds()


def sealed(content):
    """JSON content as a file that nobody changed since it was written."""
    text = json.dumps(content, sort_keys=True)
    return json.dumps({**content, "digest": identity.digest(text.encode())}).encode()


def content_of(path):
    content = json.loads(path.read_bytes())
    del content["digest"]
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_every_kind_comes_back_as_it_was(kind, tmp_path):
    record = EVERY[kind]()
    path = record.write(tmp_path)
    assert path == tmp_path / record.name and path.name.startswith(f"{kind}-")
    assert path.name.endswith(f"-{record.key}.json")
    assert read_one(path) == record and read([tmp_path]) == [record]
    assert type(read_one(path).results) is type(record.results)
    again = path.read_bytes()
    assert record.write(tmp_path).read_bytes() == again and len(list(tmp_path.iterdir())) == 1


def parts(value, where=()):
    """Every dataclass in a record, and the way to it."""
    if dataclasses.is_dataclass(value):
        yield where, value
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name), (*where, field.name))
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from parts(part, (*where, place))


def wrongs(instance, content):
    """Copies of a dataclass as JSON: with a key too many, without one, with a wrong value."""
    yield {**content, "odd": 1}
    for field in dataclasses.fields(instance):
        name, value = field.name, content[field.name]
        if field.default is dataclasses.MISSING:
            yield {key: part for key, part in content.items() if key != name}
        yield {**content, name: 1 if isinstance(value, str) else "1" if value else [["1"]]}
        if isinstance(value, list):
            yield {**content, name: [*value, {"odd": {}}]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_key_an_unknown_key_and_a_wrong_type_are_refused(kind, tmp_path):
    record, path = EVERY[kind](), tmp_path / "x.json"
    whole = content_of(record.write(tmp_path))
    path.write_bytes(sealed(whole))
    assert read_one(path) == record
    for where, instance in parts(record):
        content = whole
        for name in where:
            content = content[name]
        for wrong in wrongs(instance, content):
            copy = json.loads(json.dumps(whole)) if where else wrong
            parent = copy
            for name in where[:-1]:
                parent = parent[name]
            if where:
                parent[where[-1]] = wrong
            path.write_bytes(sealed(copy))
            with pytest.raises(Mistake, match="x.json is not a record to build on") as mistake:
                read_one(path)
            assert "\n" not in str(mistake.value) and "remove it" in str(mistake.value)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"kind": "cooking"}, "unknown kind of experiment 'cooking'; there are: attention"),
        ({"kind": ["cost"]}, "unknown kind"),
        ({"kind": "../cost"}, "unknown kind"),
        ({"version": 2}, "has expired: its form was at VERSION 2 and is at 1"),
        ({"version": True}, "its version is True"),
        ({"cell": None}, "Cell"),
    ],
)
def test_another_kind_or_version_is_refused(part, says, tmp_path):
    content = content_of(continual_record().write(tmp_path))
    (tmp_path / "x.json").write_bytes(sealed({**content, **part}))
    with pytest.raises(Mistake, match=says):
        read_one(tmp_path / "x.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_neither_read_nor_written(value, tmp_path):
    record = continual_record()
    whole = content_of(record.write(tmp_path))
    places = [
        ("results", "matrices", 0, 0, 1, 0),
        ("protocol", "normalisation", "mean", 0),
        ("cost", "seconds", "train"),
    ]
    for *where, last in places:
        copy = json.loads(json.dumps(whole))
        parent = copy
        for name in where:
            parent = parent[name]
        parent[last] = value
        (tmp_path / "x.json").write_bytes(sealed(copy))
        with pytest.raises(Mistake, match="x.json is not a record"):
            read_one(tmp_path / "x.json")
    cost = dataclasses.replace(record.cost, seconds={"train": value})
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(record, cost=cost).write(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_command_with_brackets_and_spaces_comes_back(tmp_path):
    command = "python -m benchmarks.continual --data-root '/tmp/a  [  b,   c ]'"
    record = continual_record(config={"words": ["a  b", "[ c ]"], "none": []})
    provenance = dataclasses.replace(record.provenance, command=command)
    record = dataclasses.replace(record, provenance=provenance)
    assert read_one(record.write(tmp_path)) == record


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_digit_is_refused_by_the_name_of_the_file(kind, tmp_path):
    path = EVERY[kind]().write(tmp_path)
    whole = path.read_bytes()
    places = [place for place, byte in enumerate(whole) if chr(byte).isdigit()]
    assert len(places) > 50
    for place in places:
        other = b"%d" % ((whole[place] - ord("0") + 1) % 10)
        path.write_bytes(whole[:place] + other + whole[place + 1 :])
        with pytest.raises(Mistake) as mistake:
            read_one(path)
        assert str(path) in str(mistake.value) and "\n" not in str(mistake.value)


WRITTEN: dict[str, bytes] = {}


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_damaged_bytes_are_a_mistake_or_say_the_very_same(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(KINDS))
    path = tmp_path_factory.getbasetemp() / f"{kind}.json"
    if kind not in WRITTEN:
        WRITTEN[kind] = EVERY[kind]().write(path.parent / "whole").read_bytes()
    damaged = bytearray(WRITTEN[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.none(), st.integers(0, len(damaged))))
    path.write_bytes(bytes(damaged[:end]))
    try:
        assert read_one(path) == EVERY[kind]()
    except Mistake as mistake:
        assert str(path) in str(mistake)


@pytest.mark.parametrize("text", [b"", b"1", b"[]", b"{}", b"[" * 100000, b"\xff", b"\xfe\xff{"])
def test_what_is_no_record_at_all_is_refused(text, tmp_path):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(Mistake, match="x.json is not a record"):
        read([tmp_path])


def test_a_record_under_the_name_of_another_is_refused(tmp_path):
    path, record = continual_record("dm").write(tmp_path), continual_record("random")
    record.write(tmp_path / "elsewhere").replace(path)
    with pytest.raises(Mistake, match=f"{path.name}.*its name should be {record.name}"):
        read([tmp_path])


def test_the_record_of_a_later_folder_replaces_that_of_an_earlier(tmp_path):
    ours, theirs = continual_record(shift=5.0), continual_record()
    assert ours.name == theirs.name
    theirs.write(tmp_path / "results")
    ours.write(tmp_path / "runs")
    assert read([tmp_path / "results", tmp_path / "runs"]) == [ours]


def edited(folder):
    """A record of the folder in which one digit was changed."""
    path = continual_record().write(folder)
    path.write_text(path.read_text().replace('"epochs": 300', '"epochs": 301'))
    return path


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results folder that stands for the committed one."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "reported.csv").write_bytes((tables.RESULTS / "reported.csv").read_bytes())
    for module in (benchmarks.record, benchmarks.reported):
        monkeypatch.setattr(module, "RESULTS", folder)
    return folder


def tables_main(args):
    return tables.main(cli(tables.Tables, args, prog="x"))


@pytest.mark.parametrize("where", ["results", "out"])
def test_every_command_that_reads_records_refuses_an_edited_one(
    where, results, tmp_path, fails, monkeypatch
):
    """Before it does any work."""
    for module in (continual, classification, benchmarks.nas.run):
        monkeypatch.setattr(module, "run", lambda *given: pytest.fail("it began to work"))
    out = tmp_path / "runs"
    path = edited((results if where == "results" else out) / "records")
    commands = [(main, ["--out", str(out)]) for main in (continual.main, classification.main)]
    commands += [(nas.main, [*own, "--out", str(out)]) for own in ([], ["--truth", str(path)])]
    if where == "results":
        commands += [(tables_main, ["--results", str(results), *own]) for own in ([], ["--check"])]
    for main, args in commands:
        error = fails(main, args)
        assert f"{path} is not a record to build on" in error and "it was changed" in error


EXPIRES = {
    "distill.methods.datadam": {"continual-datadam", "classification-datadam", "nas-datadam"},
    "downstream.continual.protocol": {"continual-datadam", "continual-random"},
    "downstream.nas.trial": {"nas-datadam"},
}
"""Which of the records below a raised VERSION expires."""


@pytest.mark.parametrize("module", EXPIRES)
def test_a_raised_version_expires_exactly_what_it_made(module, results, monkeypatch, capsys):
    records = [make() for make in EVERY.values()] + [continual_record("datadam")]
    for record in records:
        record.write(results / "records")
    tables_main(["--results", str(results)])
    raise_version(module, monkeypatch)
    capsys.readouterr()
    said: list[str] = []
    whole = read([results / "records"], say=said.append)
    expired = [record for record in records if record not in whole]
    assert {f"{r.kind}-{r.label}" for r in expired} == EXPIRES[module] and len(whole) > 1
    for record in expired:
        path = results / "records" / record.name
        with pytest.raises(Expired, match=f"{path} has expired: .* was at VERSION 1 and is at 100"):
            read_one(path)
        assert sum(str(path) in line for line in said) == 1
    assert tables_main(["--results", str(results), "--check"]) == 1
    assert set(said) <= set(capsys.readouterr().err.splitlines())
    assert tables_main(["--results", str(results)]) == 0
    assert tables_main(["--results", str(results), "--check"]) == 1, "until they are removed"
    for record in expired:
        (results / "records" / record.name).unlink()
    assert tables_main(["--results", str(results), "--check"]) == 0


def raise_version(module, monkeypatch):
    """A VERSION of 100 wherever it is looked up."""
    monkeypatch.setattr(f"{module}.VERSION", 100)
    kind = module.split(".")[1]
    if module.startswith("downstream."):
        monkeypatch.setattr(f"benchmarks.{kind}.facts.TODAY", 100)


def test_a_record_is_what_its_kind_says_it_is(tmp_path):
    """A command that puts the wrong thing into a record fails when it writes it."""
    record = classification_record()
    wrong = dataclasses.replace(record, results=dataclasses.replace(record.results, accuracies=1))
    assert isinstance(wrong, Record)
    with pytest.raises(ValueError, match="accuracies"):
        wrong.write(tmp_path)
    assert not list(tmp_path.iterdir())
