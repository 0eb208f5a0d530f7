"""Live progress with an estimate of the time left, on a terminal and in a log file alike."""

import time
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

    def start(self, stage: str, total: int) -> None:
        """Begin `stage`, of `total` steps."""
        self.stage, self.total, self.done = stage, total, 0
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
        if self.done:
            left = spent / self.done * max(self.total - self.done, 0)
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
