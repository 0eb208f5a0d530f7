import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from distill.runtime.compute import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
def fill(times):
    for _ in range(times):
        torch.ones(16, 1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(-fill(20) + fill(10))
"""


def page_faults(how):
    """Of filling and freeing 64 MB ten times over, in a fresh process, once that has settled."""
    command = [sys.executable, "-c", CODE, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_stays_with_the_process():
    assert page_faults("keep") < 0.5 * page_faults("leave")
