"""Where and how it is computed."""

import platform
import subprocess
import sys

import pytest
import torch

from distill.runtime.compute import CPU, Compute, choose, usual_threads
from distill.runtime.mistake import Mistake

CODE = """
import resource, torch
from distill.runtime.compute import keep_memory
def page_faults():
    def fill(times):
        for _ in range(times):
            torch.ones(10, 1 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    return -fill(20) + fill(5)
keep_memory(False)
leave = page_faults()
keep_memory()
print(leave, page_faults())
"""
"""Page faults of filling and freeing 40 MB five times over, once that has settled."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_stays_with_the_process():
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    leave, keep = map(int, done.stdout.split())
    assert keep < 0.5 * leave


def test_small_images_take_one_thread_and_large_ones_what_torch_takes():
    assert [Compute.of("cpu", (1, size, size)).threads for size in (8, 16, 17, 32)] == [
        1,
        1,
        None,
        None,
    ]
    assert Compute.of("cpu", (3, 8, 8)).device == CPU.device == torch.device("cpu")


def test_a_number_of_threads_holds_until_the_next_is_entered():
    usual = usual_threads()
    try:
        Compute(threads=usual + 1).enter()
        assert torch.get_num_threads() == usual + 1
        CPU.enter()
        assert torch.get_num_threads() == usual
    finally:
        torch.set_num_threads(usual)


@pytest.mark.parametrize("name", ["cuda:7", "cpu:1", "gpu", ""])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(Mistake, match=f"device '{name}' is not there; this machine has: cpu"):
        choose(name)


def test_a_gpu_is_taken_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(choose(name)) for name in ("auto", "cpu", "cuda", "cuda:1")] == [
        "cuda:0",
        "cpu",
        "cuda",
        "cuda:1",
    ]
    with pytest.raises(Mistake, match="this machine has: cpu, cuda:0, cuda:1"):
        choose("mps")
    assert Compute.of("auto", (1, 8, 8)).threads is None
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose("mps").type == "mps"
