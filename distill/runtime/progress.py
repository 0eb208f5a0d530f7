"""Live progress with an estimate of the time left, on a terminal and in a log file alike."""

import time
from collections.abc import Callable
from typing import TextIO


def clock(seconds: float) -> str:
    """`75` -> `1:15`, `3700` -> `1:01:40`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """Counts the steps of one stage after another. `Progress()` is silent.

    On a terminal one line is rewritten five times a second; elsewhere a line is written every ten
    seconds and at the end of a stage that took that long.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream
        self.terminal = stream is not None and stream.isatty()
        self.every = 0.2 if self.terminal else 10.0
        self.width = 0
        self.start("", 0)

    def start(self, stage: str, total: int, *, done: int = 0) -> None:
        """Begin `stage`, of `total` steps, of which an earlier run has `done` some."""
        self.stage, self.total, self.done, self.before = stage, total, done, done
        self.ahead = 0.0  # parts of steps that are under way
        self.began = self.shown = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done, 0 to show life; `note` is the figure of the moment."""
        self.done += steps
        now = time.monotonic()
        over = self.done >= self.total
        if self.stream is None or (now - self.shown < self.every and not (over and self.terminal)):
            return
        self.shown = now
        spent = now - self.began
        line = f"{self.stage}  {self.done}/{self.total}  {clock(spent)}"
        done = self.done - self.before + self.ahead
        if done:
            left = spent / done * max(self.total - self.before - done, 0)
            line += f", {clock(left)} left"
        line += f"  {note}"
        if self.terminal:
            self.stream.write("\r" + line.ljust(self.width) + ("\n" if over else ""))
            self.width = 0 if over else len(line)
        else:
            self.stream.write(line.rstrip() + "\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """Write one line of its own."""
        if self.stream is not None:
            self.stream.write(("\n" if self.width else "") + text + "\n")
            self.stream.flush()
            self.width = 0


class Together:
    """One line for all of several jobs, of which some are under way at the same time."""

    def __init__(self, progress: Progress, what: str, jobs: int, *, done: int = 0) -> None:
        """Begin the stage `what` of so many jobs, of which an earlier run has `done` some."""
        self.progress = progress
        self.jobs: dict[int, tuple[str, str, float]] = {}
        self.began: dict[int, dict[str, float]] = {}
        self.others = 0
        progress.start(what, jobs, done=done)

    def take(self, job: int, stage: str, done: int, total: int, note: str) -> None:
        """The job number `job` has done so many of the steps of its own `stage`."""
        now = time.monotonic()
        stages = self.began.setdefault(job, {})
        stages.setdefault(stage, now)
        spent, here = now - min(stages.values()), now - stages[stage]
        *_, before = self.jobs.get(job, ("", "", 0.0))
        done_part = part(spent, here, done / max(total, 1)) if here or not spent else before
        self.jobs[job] = f"{stage} {done}/{total}", note, done_part
        self._show(0)

    def finish(self, job: int) -> None:
        """The job number `job` is done."""
        self.jobs.pop(job, None)
        self._show(1)

    def elsewhere(self, jobs: int) -> None:
        """So many jobs in all are done by others, of whom nothing else is known."""
        before, self.others = self.others, jobs
        self._show(jobs - before)

    def _show(self, steps: int) -> None:
        jobs = [self.jobs[number] for number in sorted(self.jobs)]
        self.progress.ahead = sum(done for *_, done in jobs)
        note = jobs[0][1] if len(jobs) == 1 else ""
        self.progress.advance(
            steps, note=f"{', '.join(where for where, *_ in jobs)} {note}".strip()
        )


def part(spent: float, here: float, done: float) -> float:
    """How much of a job is done, `spent` seconds after its begin, if its present stage is the last.

    That stage took `here` seconds to do so large a part of its own.
    """
    expected = spent - here + here / done if done else 0.0
    return min(spent / expected if expected else done, 1.0)


class Forward(Progress):
    """The progress of one job, for those who show it: a few times a second at most.

    `take` is told the stage, its steps done and in total, and the note; `say` the lines.
    """

    def __init__(
        self, take: Callable[[str, int, int, str], None], say: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._take, self._say, self.every = take, say, 0.3

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done."""
        self.done += steps
        now = time.monotonic()
        if now - self.shown >= self.every:
            self.shown = now
            self._take(self.stage, self.done - self.before, self.total - self.before, note)

    def say(self, text: str) -> None:
        """Have one line written."""
        self._say(text)
