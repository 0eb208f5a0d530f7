"""What pages of all kinds share: commands, differences, tables as plain text."""

import dataclasses

import pandas as pd
import pytest

from benchmarks import evidence, figures
from benchmarks.continual.page import pages as continual_pages
from benchmarks.made_with import made_with
from benchmarks.page import csv, difference, labels, markdown

from paged import REPORTED, page_of
from records import (
    CIFAR10,
    DIGITS_RECIPE,
    classification_record,
    continual_record,
    cost_record,
    nas_record,
)


def test_a_drawing_becomes_a_png_and_is_known_by_what_it_shows():
    page = page_of(continual_record())
    drawing = page.drawings[""]
    assert figures.draw(drawing).startswith(b"\x89PNG")
    other = page_of(continual_record(drawn=1)).drawings[""]
    assert figures.digest(drawing) == figures.digest(page_of(continual_record()).drawings[""])
    assert figures.digest(other) != figures.digest(drawing)


def test_a_table_reads_well_as_plain_text():
    text = markdown(page_of(continual_record(), continual_record("dm")).tables[-1].frame)
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1 and lines[1].startswith("| --: | ---")
    assert "None" not in text and "nan" not in text


@pytest.mark.parametrize(
    "where",
    [
        ("--out '/my runs/x'", "--workers 2", "--data-root /my"),
        ("--out='/my runs/x=1'", "--workers=2", "--data-root=/my"),
        ("--out /my=x", "--workers=2", "--data_root /my"),
        ("--out=/my", "--workers 2", "--data_root=/my"),
    ],
)
def test_a_command_on_a_page_does_not_say_where_its_files_went(where):
    command = "python -m benchmarks.continual {} --ipc 1 {} --seed 3 {}".format(*where)
    record = continual_record()
    provenance = dataclasses.replace(record.provenance, command=command)
    (page,) = continual_pages([dataclasses.replace(record, provenance=provenance)], []).values()
    assert page.commands == ["python -m benchmarks.continual --ipc 1 --seed 3"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ("", ""),
        (" --image-size 8", " --data-root pets"),
        (" --image_size=8", " --data-root pets"),
    ],
)
def test_where_the_images_lie_is_said_of_images_of_ones_own(size, shown):
    command, record = "python -m benchmarks.x{}{} --ipc 2", continual_record()
    ran = command.format(size, " --data-root pets")
    provenance = dataclasses.replace(record.provenance, command=ran)
    record = dataclasses.replace(record, provenance=provenance)
    assert made_with([record]) == [command.format(size, shown)]


def test_a_command_names_its_precision_where_another_machine_would_choose_another():
    def printed(record, words):
        own = dataclasses.replace(record.provenance, command=f"python -m benchmarks.x{words}")
        return made_with([dataclasses.replace(record, provenance=own)])[0]

    low = classification_record(precision="bfloat16")
    assert printed(low, "") == "python -m benchmarks.x --precision bfloat16"
    assert printed(classification_record(), "").endswith(" --precision float32")
    assert printed(low, " --precision=bfloat16 --ipc 1").endswith("--precision=bfloat16 --ipc 1")
    assert "precision" not in printed(continual_record(), "")  # of digits, float32 everywhere
    assert "precision" not in printed(nas_record(), "") + printed(cost_record(), "")
    truth = nas_record().protocol.truth  # which leaves float32 out
    for own, precision in ((truth, "float32"), ({**truth, "precision": "bfloat16"}, "bfloat16")):
        photographs = dataclasses.replace(nas_record().protocol, dataset=CIFAR10, truth=own)
        search = dataclasses.replace(nas_record(), protocol=photographs)
        assert printed(search, "").endswith(f" --precision {precision}")
    pets = classification_record(dataset=dataclasses.replace(CIFAR10, name="folder-pets"))
    assert printed(pets, " --image-size=32").endswith(" --image-size=32 --precision float32")
    assert printed(pets, " --image_size 16").endswith(" --image_size 16")


def test_a_difference_that_is_bold_shows_that_it_leaves_out_0():
    def of(mean, low, high):
        return difference(evidence.Estimate(mean, low, high, 1.0, 3, 1, 3, 9))

    assert of(-0.383, -0.98, -0.012) == "**\u22120.38 [\u22120.98, \u22120.01]**"
    assert of(0.5, 0.0004, 1.0) == "**+0.5000 [+0.0004, +1.0000]**"
    assert of(0.5, 0.06, 1.0) == "**+0.5 [+0.1, +1.0]**"
    assert of(0.5, -0.01, 1.0) == "+0.5 [\u22120.0, +1.0]"


def test_a_page_names_the_commands_of_all_its_records():
    page = page_of(continual_record(), continual_record("dm"), continual_record("dm", 2))
    commands = [f"python -m benchmarks.continual --method {name}" for name in ("dm", "random")]
    assert page.commands == commands
    assert page.text.endswith("Made with:\n\n" + "".join(f"    {line}\n" for line in commands))


def test_what_is_of_no_other_recipe_has_the_name_of_the_protocol_alone():
    names = list(continual_pages([continual_record(recipe=DIGITS_RECIPE)], REPORTED))
    assert names == ["continual-digits-2-steps-retrain"]


def test_networks_that_judge_are_told_from_those_of_the_method():
    few = classification_record(label="datadam networks=2", config={"networks": 2})
    records = [classification_record(accuracies=((31.0,) * n,) * 3) for n in (2, 5)]
    named = labels([*records, few])
    assert sorted(named.values()) == ["datadam --networks=2", "datadam --networks=5", few.label]


def test_what_rounds_otherwise_on_another_machine_is_the_same():
    frame = pd.DataFrame({"n": [1, 2], "share": [0.1 + 0.2, -1e-17], "of": [None, 2 / 3]})
    elsewhere = pd.DataFrame({"n": [1, 2], "share": [0.3, 1e-17], "of": [None, 1 - 1 / 3]})
    assert csv(frame) == csv(elsewhere) == "n,share,of\n1,0.3,\n2,0.0,0.666666667\n"
    assert csv(frame) != csv(elsewhere.assign(share=[0.3, 1e-8]))
