"""Whose a temporary file or folder is: its name carries this machine and the process that made it.

So what a process left that was killed can be told from what a living one is at work on.
"""

import functools
import os
import platform
import re
import zlib


def mark() -> str:
    """`1a2b3c4d-4711`: a digest of this machine's name, and the number of this process."""
    return f"{_machine()}-{os.getpid()}"


def abandoned(name: str) -> bool:
    """Whether a name, `<anything>.<mark>.<letters>`, is that of a dead process of this machine."""
    parts = re.fullmatch(rf".*\.{_machine()}-([1-9][0-9]{{0,9}})\.[a-z0-9_]+", name, re.DOTALL)
    if parts is None:
        return False
    try:
        os.kill(int(parts[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


@functools.cache
def _machine() -> str:
    """Containers may share a name and a disk, but not their numbers of processes."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    return f"{zlib.crc32(f'{platform.node()} {numbers}'.encode()):08x}"
