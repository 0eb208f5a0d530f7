"""How distilling grows with classes, images, resolution and processes, on images in a mapped file.

Every row is measured in fresh processes, of one thread each, so that memory is its own.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.cost import training
from benchmarks.cost.clock import computing, seconds
from benchmarks.cost.parts.memory import resident
from benchmarks.cost.settings import Timing
from distill import mapped, networks
from distill.images import About, Normalisation
from distill.methods import datadam
from distill.plan import Plan, distill
from distill.runtime.compute import FLOAT32, Compute
from distill.runtime.files import require_space
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator

TITLE = "How distilling many classes grows"
NOTE = """\
DataDAM on made-up images in a memory-mapped file: the first classes are noise, and the others
black, where the file has holes, so that it is as large as a real one and takes little of the disk.
Processes of one thread each; float32; what is compiled (--compile auto) is so before
the clock starts. paper step: a step of --preset paper for one class (a fresh network, its targets,
the synthetic images). laptop step, laptop target: of --preset laptop, whose targets are bought
once. training step: of one network of width 128 on a mini-batch of 250 images. s: by the clock, for
one class; where several processes work, each on classes of its own, their number divides it. core
s: of one process. MB before: of a process that has loaded the suite. MB at most: the most that one
process held, mapped images among it. One thing is varied at a time.
"""
PAPER, LAPTOP, TARGET, TRAINING = "paper step", "laptop step", "laptop target", "training step"
NOISY = 4
"""Classes that hold noise: as many as any case works on for its time, and not for its memory."""
BATCH = 250
"""Images of a training step."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What a row measures.

    Attributes:
        classes, images, pixels: in the file, of a class, and along a side.
        ipc: synthetic images a class. together: classes that a process learns together.
        processes: at work at the same time. times: how often the step is timed.
    """

    work: str = PAPER
    classes: int = 1000
    images: int = 1300
    pixels: int = 64
    ipc: int = 50
    together: int = 1
    processes: int = 1
    times: int = 3

    @property
    def about(self) -> About:
        """The facts of the made-up dataset."""
        names = tuple(map(str, range(self.classes)))
        shape = (3, self.pixels, self.pixels)
        return About("made-up", Normalisation.fixed(3), shape, names)

    def config(self) -> datadam.Config:
        """Of the preset, for as many steps (or networks) as are timed."""
        config = datadam.preset(self.about, self.ipc, self.work.split()[0])
        few = self.times + 1
        return dataclasses.replace(config, iterations=few, networks=few if config.networks else 0)

    def gflop(self) -> float:
        """Of the convolutions and products, for one class, or for a training step."""
        paper = datadam.preset(self.about, self.ipc, "paper")
        config = paper if self.work == TRAINING else self.config()
        spec = networks.parse(config.network)
        flops = networks.size(spec, self.about.shape, self.classes)[1]
        real, synthetic = config.real_batch, 2 * self.ipc  # forward, and back to the pixels
        images = {PAPER: real + synthetic, LAPTOP: synthetic, TARGET: real, TRAINING: 3 * BATCH}
        return flops * images[self.work] / 1e9


def cases(classes: int, images: int, times: int) -> list[tuple[str, Case]]:
    """What is varied, and the case, of each row."""
    base = Case(classes=classes, images=images, times=times)
    varied = {
        "classes": sorted({max(4, classes // 100), max(4, classes // 10), classes}),
        "images": sorted({max(base.ipc, images // 10), images}),
        "pixels": [32, 64, 128],
        "ipc": [1, 10, 50],
        "together": [1, 2, 4],
        "processes": [1, 2],
    }
    rows = [
        (field, dataclasses.replace(base, **{field: value}))
        for field, values in varied.items()
        for value in values
    ]
    others = [
        ("processes", dataclasses.replace(base, work=work, processes=count))
        for work in (LAPTOP, TARGET, TRAINING)
        for count in (1, 2)
    ]
    many = [
        ("together", dataclasses.replace(base, work=LAPTOP, together=min(classes, count)))
        for count in (1, 32)
    ]
    return [*rows, *others, *many]


WORDS = {
    "classes": "classes in the file",
    "images": "images a class in the file",
    "pixels": "pixels along a side",
    "ipc": "synthetic images a class",
    "together": "classes at a time",
    "processes": "processes",
}


def rows(settings: Timing) -> list[dict[str, float | int | str]]:
    """A row a case; one that comes again is not measured again.

    Raises:
        Mistake: the temporary folder lacks the space.
    """
    table, known = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for field, case in cases(settings.classes, settings.images, settings.turns):
            if case not in known:
                known[case] = measured(case, made_up(case, Path(folder)))
            count = getattr(case, field)
            table.append({"work": case.work, "varied": WORDS[field], "count": count, **known[case]})
    return table


def made_up(case: Case, folder: Path) -> Path:
    """The file of a case; another case may have made it.

    Raises:
        Mistake: the folder lacks the space for the classes that are used.
    """
    path = folder / f"{case.classes}x{case.images}x{case.pixels}"
    if not path.exists():
        black = torch.zeros(case.images, *case.about.shape, dtype=torch.uint8)
        require_space(folder, (NOISY + 1) * black.nbytes, what="the file of made-up images")
        noise = torch.randint(0, 256, black.shape, generator=generator(0), dtype=torch.uint8)
        slices = ((c, noise if c < NOISY else black) for c in range(case.classes))
        mapped.write(path, case.about, slices)
    return path


def measured(case: Case, path: Path) -> dict[str, float | int]:
    """The figures of a case, of processes that take their steps at the same time."""
    given = json.dumps(dataclasses.asdict(case))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, given, str(path), str(number)], env=environment, **pipe
        )
        for number in range(case.processes)
    ]
    try:
        for worker in workers:
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError(f"a process that measures ended with {worker.wait()}")
        for worker in workers:
            print("go", file=worker.stdin, flush=True)
        every = [json.loads(worker.communicate()[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    took, cores = ([one for own in every for one in own[name]] for name in ("seconds", "cores"))
    return {
        "s": seconds(took, case.processes),
        "core s": seconds(cores),
        "GFLOP": float(f"{case.gflop():.4g}"),
        "MB before": round(max(own["before"] for own in every)),
        "MB at most": round(max(own["most"] for own in every)),
    }


class StepClock(Progress):
    """Keeps the moment of every step of one stage; after the first it waits to be told to go on."""

    def __init__(self, stage_kept: str) -> None:
        super().__init__()
        self.stage_kept, self.moments = stage_kept, list[tuple[float, float]]()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Keep this moment, if it is of the stage."""
        if self.stage != self.stage_kept:
            return
        if not self.moments:
            print("ready", flush=True)
            sys.stdin.readline()
        self.moments.append((time.perf_counter(), time.process_time()))

    def between(self, parts: int) -> dict[str, list[float]]:
        """From each moment to the next, for each of so many parts."""
        pairs = list(zip(self.moments, self.moments[1:], strict=False))
        names = ("seconds", "cores")
        return {name: [(b[n] - a[n]) / parts for a, b in pairs] for n, name in enumerate(names)}


def one(case: Case, path: Path, number: int) -> dict[str, float | list[float]]:
    """Of the process with this number: what its steps took, and the memory it held."""
    before = resident()
    progress = StepClock("targets" if case.work == TARGET else "steps")
    compute = Compute(threads=1, precision=FLOAT32)
    with computing(compute):
        if case.work == TRAINING:
            size = training.TrainingSize(
                case.about.shape, datadam.preset(case.about, 1, "paper").network, BATCH
            )
            step = training.ours(size, 1, compute)
            progress.start("steps", case.times + 1)
            for _ in range(case.times + 1):
                step()
                progress.advance()
        else:
            first = number * case.together
            real = mapped.load(path, case.about).only(range(first, first + case.together))
            plan = Plan("datadam", case.config(), case.ipc)
            distill(plan, real, compute=compute, progress=progress)
    return {**progress.between(case.together), "before": before, "most": most()}


def most() -> float:
    """MB that this process held at most; where the system does not say, what it holds now."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    except (OSError, ValueError):
        return resident()
    return int(peak) / 1024


if __name__ == "__main__":
    print(json.dumps(one(Case(**json.loads(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))))
