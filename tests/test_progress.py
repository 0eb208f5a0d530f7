"""What a person sees while it works."""

import io

from distill.runtime.progress import Progress, clock


def test_a_log_shows_life_before_the_first_step_is_done():
    progress = Progress(io.StringIO())
    progress.every = 0.0
    progress.start("trials", 2)
    progress.advance(0, note="a network, step 3/80")
    progress.advance(note="a network 91.5")
    lines = progress.stream.getvalue().splitlines()
    assert lines == [
        "trials  0/2  0:00  a network, step 3/80",
        "trials  1/2  0:00, 0:00 left  a network 91.5",
    ]


def test_a_log_is_not_flooded():
    progress = Progress(io.StringIO())
    progress.start("steps", 1000)
    for _ in range(1000):
        progress.advance()
    assert progress.stream.getvalue() == ""


def test_times_are_read_at_a_glance():
    assert [clock(s) for s in (5, 75, 3700)] == ["0:05", "1:15", "1:01:40"]
