"""What a person sees while it works."""

import fcntl
import io
import os
import struct
import termios

from distill.runtime.progress import Progress, clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_shows_life_before_the_first_step_is_done():
    progress = Progress(io.StringIO())
    progress.every = 0.0
    progress.start("trials", 2)
    progress.advance(0, note="a network, step 3 of 80")
    progress.advance(note="a network 91.5")
    lines = progress.stream.getvalue().splitlines()
    assert lines == [
        "trials: 0 of 2; 0:00 elapsed; a network, step 3 of 80",
        "trials: 1 of 2; 0:00 elapsed, about 0:00 left; a network 91.5",
    ]


def test_a_log_is_not_flooded():
    progress = Progress(io.StringIO())
    progress.start("steps", 1000)
    for _ in range(1000):
        progress.advance()
    assert progress.stream.getvalue() == ""


def test_a_terminal_line_is_written_over_and_leaves_nothing_of_a_longer_one():
    progress = Progress(Terminal())
    progress.every = 0.0
    progress.start("steps", 2)
    progress.advance(note="loss 1234567.8")
    first = progress.stream.getvalue()
    progress.advance(note="loss 1")
    second = progress.stream.getvalue().removeprefix(first)
    assert first.startswith("\rsteps: 1 of 2") and "\n" not in first
    assert second.startswith("\rsteps: 2 of 2") and second.endswith("\n")
    assert len(second.strip("\r\n")) >= len(first.strip("\r"))


def test_a_terminal_line_is_no_longer_than_the_terminal_is_wide():
    """The end of a longer one would be left standing when the next is written over it."""
    reader, writer = os.openpty()
    with os.fdopen(reader, "rb", buffering=0) as shown, os.fdopen(writer, "w") as terminal:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
        progress = Progress(terminal)
        progress.every = 0.0
        progress.start("classes distilled", 2)
        progress.advance(note="steps 3 of 1000, loss 1234567.8")
        assert shown.read(1000) == b"\rclasses distilled: 1 of 2; 0:"


def test_what_is_said_has_a_line_of_its_own():
    progress = Progress(Terminal())
    progress.every = 0.0
    progress.start("steps", 2)
    progress.say("before")
    progress.advance(note="loss 1")
    progress.say("warning: a sign")
    progress.advance(note="loss 0")
    lines = progress.stream.getvalue().split("\n")
    assert lines[0] == "before" and lines[1].startswith("\rsteps: 1 of 2")
    assert lines[2] == "warning: a sign" and lines[3].startswith("\rsteps: 2 of 2")


def test_the_last_step_is_shown_on_a_terminal_whenever_it_comes():
    progress = Progress(Terminal())
    progress.start("steps", 3)
    for _ in range(3):
        progress.advance()
    assert "3 of 3" in progress.stream.getvalue()


def test_without_a_stream_it_is_silent(capsys):
    progress = Progress()
    progress.start("steps", 1)
    progress.advance(note="loss")
    progress.say("a word")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_at_the_end_no_time_is_left(monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    progress = Progress(Terminal())
    progress.start("steps", 1)
    progress.advance(note="loss 1")
    assert progress.stream.getvalue() == "\rsteps: 1 of 1; 0:00 elapsed; loss 1\n"


def test_times_are_read_at_a_glance():
    assert [clock(s) for s in (5, 75, 3700)] == ["0:05", "1:15", "1:01:40"]


def test_the_time_left_is_reckoned_from_this_runs_own_steps(monkeypatch):
    """Of 1,000 steps an earlier run did 900; 50 of the others took 10 seconds."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress(io.StringIO())
    progress.start("steps", 1000, done=900)
    now[0] = 10.0
    progress.advance(50)
    assert progress.stream.getvalue() == "steps: 950 of 1000; 0:10 elapsed, about 0:10 left\n"
