"""All results on one page: what it says, that its commands are right, and the HTML of it."""

import dataclasses
import functools
import html.parser
import re
import shlex
import shutil
import subprocess

import pytest

from benchmarks import reported
from benchmarks.classification.__main__ import Classification
from benchmarks.contents import Contents, pages
from benchmarks.continual.__main__ import Continual
from benchmarks.cost.parts import step, training
from benchmarks.nas.flags import Nas
from benchmarks.page import Table
from benchmarks.record import RESULTS
from benchmarks.report import against, cells, effort, sections
from benchmarks.report.__main__ import Report, main
from benchmarks.report.compared import comparisons, setting
from benchmarks.report.document import Section
from benchmarks.report.html import text
from distill import datasets
from distill.methods import datadam, dm
from distill.runtime import registry
from distill.runtime.flags import parse
from distill.runtime.mistake import Mistake
from distill.training import recipes

from records import (
    CIFAR10,
    classification_record,
    continual_record,
    cost_record,
    nas_record,
)

PUBLISHED = tuple(reported.read(RESULTS / "reported.csv"))
COMMANDS = {"classification": Classification, "continual": Continual, "nas": Nas}
BROWSER = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)


def measured(part, **row):
    """A record of costs with the part's largest case."""
    own = cost_record()
    protocol = dataclasses.replace(own.protocol, part=part)
    case = {"step": step, "training": training}[part].CASES[0][0]
    rows = [{"step": case, "precision": "float32", "threads": 2, **row}]
    results = dataclasses.replace(own.results, rows=rows)
    return dataclasses.replace(own, label=part, protocol=protocol, results=results)


COSTS = [measured("step", **{"compiled s": 2.0}), measured("training", **{"now ms": 4.0})]
LOW = classification_record("datadam", accuracies=((11.0, 12.0), (12.5, 13.0), (11.5, 12.0)))
HIGH = classification_record("random")
VARIANT = classification_record("datadam", label="datadam power=1", config={"power": 1.0})
RECORDS = [LOW, HIGH, VARIANT, continual_record("dm"), continual_record(), nas_record(), *COSTS]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder, whose figures are no pictures."""
    folder = tmp_path_factory.mktemp("whole") / "results"
    (folder / "figures").mkdir(parents=True)
    shutil.copy(RESULTS / "reported.csv", folder)
    for own in RECORDS:
        own.write(folder / "records")
    for path in Contents(folder).drawings:
        path.write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def contents(results):
    return Contents(results)


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "all.html"
    main(Report(out=path, results=results))
    return path


def blocks_of(sections):
    """What stands in sections, in long parts too."""
    for block in (block for section in sections for block in section.blocks):
        yield from blocks_of([block]) if isinstance(block, Section) else [block]


def table(document, caption):
    """The rows of the one table whose caption begins so."""
    tables = [b for b in blocks_of(document.sections) if isinstance(b, Table)]
    (own,) = [t for t in tables if t.caption.startswith(caption)]
    return own.frame.to_dict("records")


def hours_of(rows):
    return [float(row["hours, a processor, 2 cores"].replace(",", "")) for row in rows]


def test_every_published_cell_is_filled_or_has_a_command_or_a_reason(contents):
    beside = table(contents.document, "Reported, and ours beside it")
    missing = table(contents.document, "Missing")
    lacking = table(contents.document, "No command")
    of_missing = sum(len(row["reported"].split(", ")) for row in missing)
    count = sum(row.by == "authors" for row in PUBLISHED)
    assert len(beside) + of_missing + sum(row["figures"] for row in lacking) == count
    assert {(r["dataset"], r["ipc"], r["method"]) for r in beside} == {
        ("cifar10", 1, "random"),
        ("cifar10", 1, "datadam"),
    }
    assert [row["reported"] for row in beside] == ["14.4 ± 2", "32 ± 1.2"]
    hours = hours_of(missing)
    assert hours == sorted(hours) and 0 < hours[0] < 1 and hours[-1] > 1000


@functools.cache
def parsed(command):
    """The kind of a command, and what it asks for; each is parsed once."""
    kind, *args = shlex.split(command.removeprefix("python -m benchmarks."))
    asked, flags = parse(COMMANDS[kind], args, prog=kind)
    assert asked.preset == "paper"
    return kind, asked, flags


def as_run(command):
    """A record as the command would make it."""
    kind, asked, flags = parsed(command)
    batch = ["--method.network", "convnet-d3-w128-batch-relu-avg"]
    assert flags in ([], ["--method.formation", "2"], batch)
    about = datasets.about(asked.dataset)
    recipe = recipes.named(asked.recipe or "dm", about)
    recipe = dataclasses.replace(recipe, epochs=asked.epochs or recipe.epochs)
    network = asked.network or f"convnet-d{about.depth}-w128-instance-relu-avg"
    how = {"recipe": recipe, "network": network, "config": {"formation": 2} if "2" in flags else {}}
    how["dataset"] = dataclasses.replace(CIFAR10, name=asked.dataset)
    if kind == "classification":
        return classification_record(asked.method, asked.ipc, zca=asked.zca, **how)
    own = continual_record(asked.buffer, asked.ipc, steps=asked.steps, **how)
    return dataclasses.replace(own, results=dataclasses.replace(own.results, classes=100))


def test_a_command_is_one_that_the_suite_takes_and_its_record_fills_the_cell():
    commands = {row: own for row, own in cells.commands(PUBLISHED).items() if type(own) is not str}
    assert len(commands) > 200
    for row, command in commands.items():
        if parsed(command.text)[0] != "nas":
            offered = cells.offers([as_run(command.text)], {})
            assert cells.ours(row, offered) is not None, command.text


def test_a_measured_step_takes_the_time_that_was_measured():
    (speed,) = effort.speeds(COSTS).values()
    _, shape, width, ipc = step.CASES[0]
    config = datadam.Config(network=f"convnet-w{width}", iterations=1, real_batch=step.REAL)
    made = effort.distilling(config, ipc, shape, step.CLASSES)
    recipe = recipes.Recipe(epochs=1)
    trained = effort.training_on(100, training.CASES[0][1].network, recipe, shape, step.CLASSES)
    assert effort.Stages(made, 0).hours(speed) * 3600 == pytest.approx(2.0)
    assert effort.Stages(0, trained).hours(speed) * 3600 == pytest.approx(0.4)
    assert not effort.speeds(COSTS[:1]), "of one stage alone nothing is known of a command"


def test_looking_at_the_real_images_and_testing_count_as_learning_does():
    """Four networks look at 50,000 images once; one trains on them 50 times, and looks as often."""
    about = datasets.about("cifar10")
    look = 50_000 * effort.forward("convnet-w128", about.shape, 10)
    for method, looks in {"random": 0, "herding": 4, "kcenter": 4, "forgetting": 50 * 4}.items():
        config = registry.load("distill.methods", method).preset(about, 10, "paper")
        assert effort.choosing(config, 50_000, about.shape, 10) == looks * look
        (own,) = {
            command.effort
            for row, command in cells.commands(PUBLISHED).items()
            if (row.dataset, row.method, row.ipc) == ("cifar10", method, 10)
            and row.experiment == "classification"
        }
        assert own.distill == 3 * looks * look
        assert own.train == 15 * look / 50_000 * (100 * 1000 * effort.WEIGHTS + 10_000)


def test_of_a_machine_without_measured_steps_the_longest_run_counts():
    """Three sets in 7.5 s and six networks in 12.5 s; not those of fewer images in as long."""

    def on_gpu(own):
        hardware = dataclasses.replace(own.provenance.hardware, gpu="a GPU")
        provenance = dataclasses.replace(own.provenance, hardware=hardware)
        return dataclasses.replace(own, provenance=provenance)

    runs = [on_gpu(classification_record("dm", ipc)) for ipc in (1, 5)]
    speeds = effort.speeds([*runs, *COSTS, LOW])
    assert {*speeds} == {"a GPU", "a processor, 2 cores"}
    config = runs[1].cell.making.config
    about = datasets.about("cifar10")
    made = effort.distilling(dm.Config(**config), 5, about.shape, 10)
    trained = effort.training_on(50, runs[1].protocol.network, recipes.Recipe(), about.shape, 10)
    assert effort.Stages(3 * made, 6 * trained).hours(speeds["a GPU"]) * 3600 == pytest.approx(20)


def test_what_is_shown_is_the_side_on_which_the_interval_lies():
    known = comparisons(RECORDS, pages(RECORDS, PUBLISHED))
    sides = {(own.method, own.against, own.record.kind): own.side for own in known}
    assert sides == {
        ("datadam", "random", "classification"): "behind",
        ("datadam power=1", "datadam", "classification"): "ahead",
        ("dm", "random", "continual"): "nothing shown",
    }


def test_where_a_row_was_judged_says_what_a_lower_precision_was():
    low = classification_record("datadam", precision="bfloat16")
    assert setting(low).endswith("1000 epochs, bfloat16, ZCA")
    assert setting(LOW).endswith("1000 epochs, ZCA")


def test_of_several_numbers_of_epochs_the_most_count():
    short = dataclasses.replace(recipes.Recipe(), epochs=30)
    again = [classification_record(m, recipe=short) for m in ("datadam", "random")]
    records = [LOW, HIGH, *again]
    (own,) = comparisons(records, pages(records, PUBLISHED))
    assert own.record == LOW and "1000 epochs" in own.setting


def test_what_single_sets_show_is_listed_and_not_counted():
    low, high = (
        classification_record(method, accuracies=((value, value + 1.0),))
        for method, value in (("datadam", 11.0), ("random", 31.0))
    )
    for records, counted in (([low, high], False), ([LOW, HIGH], True)):
        shown = sections.document(records, pages(records, PUBLISHED), PUBLISHED)
        (tally,) = [b for b in shown.sections[0].blocks if isinstance(b, Table)]
        assert len(tally.frame) == counted
        points = " ".join(shown.sections[0].blocks[0])
        said = "Not counted: 1 comparison of single sets" in points
        (line,) = next(s for s in shown.sections if s.name == "negative").blocks[1]
        assert said is ("(ipc 1, one set)" in line) is not counted
        (row,) = table(shown, "Shown to be behind (1)")
        assert str(row["sets"]) == ("3" if counted else "1")


def test_the_page_says_what_is_behind_and_what_shows_nothing(contents):
    (behind,) = table(contents.document, "Shown to be behind (1)")
    assert (behind["method"], behind["against"], behind["date"]) == (
        "datadam",
        "random",
        "2025-01-02",
    )
    assert behind["difference"].startswith("**−20.0")
    (nothing,) = table(contents.document, "Nothing shown (1)")
    assert nothing["method"] == "dm" and "5 steps" not in nothing["where"]
    (section,) = (s for s in contents.document.sections if s.name == "negative")
    (line,) = section.blocks[1]
    assert line.startswith("2025-01-02: `datadam` minus `random` **−20.0")


def test_no_record_is_needed():
    document = sections.document([], {}, PUBLISHED)
    (reading,) = (own for own in document.sections if own.name == "reading")
    assert "0 records" in reading.blocks[1] and "<h1>Results" in text(document, bytes)


def test_the_readme_of_the_results_links_to_what_is_there(contents):
    path = contents.results / "README.md"
    words = contents.texts[path]
    made = {own.relative_to(contents.results).as_posix() for own in contents._listed()}
    links = re.findall(r"\]\(([^)#]+)\)", words)
    assert set(links) <= made and any(link.startswith("figures/") for link in links)
    anchors = set(re.findall(r'<a id="(\w+)">', words))
    assert set(re.findall(r"\]\(#(\w+)\)", words)) <= anchors
    assert words.startswith("# Results\n\n[findings](#findings)")
    assert words.index("## What was found") < words.index("## How to read") < 6000


def test_long_tables_and_the_list_of_pages_are_files_beside_the_whole_pages(contents):
    folder = contents.results / "tables"
    readme = contents.texts[contents.results / "README.md"]
    listed = contents.texts[folder / "README.md"]
    pages_there = {p.name for p in contents.texts if p.parent == folder and p.suffix == ".md"}
    assert set(re.findall(r"\]\((\S+)\)", listed)) == pages_there - {"README.md"} | {"../README.md"}
    missing, cheapest = (table(contents.document, c) for c in ("Missing", "What fills"))
    assert cheapest == missing[: against.SHOWN] and len(missing) > 100
    for row in missing:
        assert row["command"] in contents.texts[folder / "missing-figures.md"]
    assert missing[-1]["command"] not in readme and "(tables/missing-figures.md)" in readme
    negative = contents.texts[folder / "negative-results.md"]
    assert "Nothing shown (1):" in negative and "Nothing shown (1):" not in readme
    for target in re.findall(r"\]\(([^)]+)\)", negative):
        assert (folder / target).resolve() in contents.texts, target


VOID = {"meta", "img", "input", "br"}


class Structure(html.parser.HTMLParser):
    """What a page holds; fails where an element is not ended in its place."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.tables, self.cell = [], [], [], [], None

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.open += [tag] if tag not in VOID else []
        self.ids += [named["id"]] if "id" in named else []
        self.addresses += [named[a] for a in ("src", "href", "action", "data") if a in named]
        assert "style" not in named and not any(name.startswith("on") for name in named)
        if tag == "table":
            assert self.open[-2:] == ["div", "table"]
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.cell = ""

    def handle_data(self, data):
        self.cell = None if self.cell is None else self.cell + data

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> ends another element"
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None


def test_the_html_page_is_whole_and_loads_nothing(contents, page):
    source = page.read_text()
    own = Structure()
    own.feed(source)
    assert own.open == [] and len(own.ids) == len(set(own.ids))
    for address in own.addresses:
        assert address.startswith("data:image/png;base64,") or address[1:] in own.ids, address
    assert not re.search(r"url\(|@import|https?:|fetch|XMLHttp", source)
    document = contents.document
    blocks = blocks_of((*document.sections, *document.pages))
    tables = [b.frame for b in blocks if isinstance(b, Table) and len(b.frame)]
    assert source.count('<details class="part"') == 2 + len(document.pages)
    assert len(own.tables) == len(tables)
    for shown, frame in zip(own.tables, tables, strict=True):
        assert shown[0] == [str(column) for column in frame.columns]
        assert len(shown) == len(frame) + 1 and {len(row) for row in shown} == {len(frame.columns)}


def test_what_a_record_says_is_no_markup():
    own = classification_record("datadam", label="<script>alert(1)</script>&")
    named = pages([own], PUBLISHED)
    source = text(sections.document([own], named, PUBLISHED), bytes)
    assert source.count("<script>") == 1 and "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in source


def test_a_mistake_is_said_before_the_page_is_made(results, tmp_path):
    with pytest.raises(Mistake, match=r"is a folder; give the name of a file"):
        main(Report(out=tmp_path, results=results))
    with pytest.raises(Mistake, match=r"all.pdf is to hold a page; give .*\.html"):
        main(Report(out=tmp_path / "all.pdf", results=results))
    with pytest.raises(Mistake, match=r"no reported.csv in"):
        main(Report(out=tmp_path / "all.html", results=tmp_path))
    bare = shutil.copytree(results, tmp_path / "bare", ignore=shutil.ignore_patterns("*.png"))
    with pytest.raises(Mistake, match=r"is missing; run python -m benchmarks.tables first"):
        main(Report(out=tmp_path / "all.html", results=bare))
    assert not (tmp_path / "all.html").exists()


SCRIPT = """
<script>
const own = [...document.querySelectorAll(".table")].find(t => t.textContent.includes("Missing,"));
const head = [...own.querySelectorAll("th button")].find(b => b.textContent.startsWith("hours"));
const first = () => own.querySelector("tbody tr:not([hidden])").cells[3].textContent;
const said = [first()];
head.click(); said.push(first()); head.click(); said.push(first());
const search = own.querySelector("input");
search.value = "CIFAR100 continual dm"; search.dispatchEvent(new Event("input"));
said.push(own.querySelectorAll("tbody tr:not([hidden])").length);
said.push(document.documentElement.scrollWidth <= innerWidth);
const part = own.closest("details");
said.push(part.open);
location.hash = "#missing-figures";
setTimeout(() => {
  said.push(part.open);
  const within = own.querySelector(".scroll");
  const first = within.querySelector("tr:not([hidden]) td");
  const place = () => first.getBoundingClientRect().left;
  const before = place();
  within.scrollLeft = 150;
  said.push(Math.abs(place() - before) < 2 && first.offsetWidth <= 0.4 * within.clientWidth);
  const shown = [...document.querySelectorAll(".scroll:has(table)")]
    .filter(t => !t.closest("details:not([open])"));
  const narrow = t => t.querySelector("th").offsetWidth <= 0.4 * t.clientWidth;
  said.push(shown.every(t => t.matches(".held") === narrow(t)));
  document.body.dataset.said = said.join(" ");
}, 500);
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no headless browser is installed")
def test_a_browser_sorts_and_searches_tables_and_the_page_is_no_wider_than_the_screen(
    page, contents, tmp_path
):
    path = tmp_path / "clicked.html"
    path.write_text(page.read_text().replace("</body>", SCRIPT + "</body>"))
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=500,900"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *options, profile, "--virtual-time-budget=3000"]
    command += ["--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = re.search(r'data-said="([^"]*)"', done.stdout)
    assert said, done.stderr[-2000:]
    *shown, found, fits, folded, opened, held, others = said[1].replace(",", "").split()
    hours = hours_of(table(contents.document, "Missing"))
    assert list(map(float, shown)) == [hours[0], hours[0], hours[-1]]
    assert (found, fits, folded, opened) == ("2", "true", "false", "true")
    assert (held, others) == ("true", "true"), "the first column stays in view where it is narrow"


def test_methods_that_learn_are_compared_with_the_same_settings_alone():
    for settings, count in (({}, 1), ({"iterations": 5000}, 0), ({"power": 1.0}, 1)):
        own = classification_record("datadam", config=settings, label="datadam paper")
        records = [own, classification_record("dm"), classification_record("random")]
        known = comparisons(records, pages(records, PUBLISHED))
        others = [c.against for c in known if c.name == "datadam"]
        assert (others.count("dm"), others.count("random")) == (count, 1)
