"""Damage to files: what chance, a bad disk, an editor or a stranger does to them."""

import contextlib
import re
import signal

from hypothesis import strategies as st

SECONDS = 60.0
"""A read that takes longer hangs."""
NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]+)?")
TOKENS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"null", b'"', b"9" * 400)


def _flipped(draw, whole, _):
    content = bytearray(whole)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 8)))):
        content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)


def _head_flipped(draw, whole, _):
    place = draw(st.integers(0, min(63, len(whole) - 1)))
    return (
        whole[:place] + bytes([whole[place] ^ (1 << draw(st.integers(0, 7)))]) + whole[place + 1 :]
    )


def _digit_flipped(draw, whole, _):
    """The damage that looks most like something true."""
    places = [place for place, byte in enumerate(whole[:200_000]) if byte in b"0123456789"]
    if not places:
        return _flipped(draw, whole, _)
    place = draw(st.sampled_from(places))
    other = draw(st.sampled_from([d for d in b"0123456789" if d != whole[place]]))
    return whole[:place] + bytes([other]) + whole[place + 1 :]


def _token(draw, whole, _):
    numbers = list(NUMBER.finditer(whole[:200_000]))
    if not numbers:
        return whole + draw(st.sampled_from(TOKENS))
    number = draw(st.sampled_from(numbers))
    return whole[: number.start()] + draw(st.sampled_from(TOKENS)) + whole[number.end() :]


def _cut(draw, whole, _):
    return whole[: draw(st.integers(0, len(whole) - 1))]


def _hole(draw, whole, _):
    """As a disk leaves it that lost a page."""
    first = draw(st.integers(0, len(whole) - 1))
    count = draw(st.sampled_from((1, 16, 512, 4096)))
    return whole[:first] + b"\0" * len(whole[first : first + count]) + whole[first + count :]


def _appended(draw, whole, _):
    more = draw(st.sampled_from((b"\0", b"\n", b"{}\n", b"\xff" * 9, whole)))
    return whole + more


def _lines(draw, whole, _):
    lines = whole.splitlines(keepends=True)
    one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    way = draw(st.sampled_from(("twice", "swapped", "dropped")))
    if way == "twice":
        lines.insert(other, lines[one])
    elif way == "swapped":
        lines[one], lines[other] = lines[other], lines[one]
    else:
        del lines[one]
    return b"".join(lines)


def _strange(draw, whole, _):
    content = (
        b"",
        b"\0",
        b"\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
    )
    return draw(st.one_of(st.sampled_from(content), st.binary(max_size=200)))


def _other_text(draw, whole, _):
    place = draw(st.integers(0, len(whole)))
    return draw(
        st.sampled_from(
            (
                b"\xef\xbb\xbf" + whole,
                whole[:place] + b"\xff" + whole[place:],
                whole[:place] + b"\0" + whole[place:],
                whole.replace(b"\n", b"\r\n"),
            )
        )
    )


def _exchanged(draw, whole, other):
    return other if other is not None else _flipped(draw, whole, other)


WAYS = (
    _flipped,
    _head_flipped,
    _digit_flipped,
    _token,
    _cut,
    _hole,
    _appended,
    _lines,
    _strange,
    _other_text,
    _exchanged,
)


@st.composite
def damaged(draw, whole, other=None):
    """The way, and content that differs from `whole`; `other` is that of another such file."""
    way = draw(st.sampled_from(WAYS))
    return way.__name__.strip("_"), way(draw, whole, other)


@contextlib.contextmanager
def no_hang(seconds=SECONDS):
    """Fail where what is within takes longer."""

    def over(*_):
        raise AssertionError(f"hangs for {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
