"""Where and how it is computed."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from distill.runtime import compute
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


CPU_DEVICE = torch.device("cpu")


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("size", [8, 32])
def test_auto_is_bfloat16_where_it_is_native_and_right_and_the_images_are_large(
    monkeypatch, native, right, size
):
    monkeypatch.setattr(compute, "multiplies_bfloat16", lambda device: native)
    monkeypatch.setattr(compute, "right_in_bfloat16", lambda device: right)
    low = native and right and size > 16
    expected = "bfloat16" if low else "float32"
    assert Compute.of("cpu", (3, size, size)).precision == expected
    assert Compute.of("cpu", (3, size, size), precision="float32").precision == "float32"


def test_bfloat16_that_is_asked_for_is_had_or_refused(monkeypatch):
    assert Compute.of("cpu", (1, 8, 8), precision="bfloat16").precision == "bfloat16"
    for native, notes in ((True, 0), (False, 1)):
        said: list[str] = []
        monkeypatch.setattr(compute, "multiplies_bfloat16", lambda device, native=native: native)
        Compute.of("cpu", (1, 8, 8), precision="bfloat16", say=said.append)
        Compute.of("cpu", (1, 8, 8), precision="float32", say=said.append)
        Compute.of("cpu", (1, 8, 8), say=said.append)
        assert len(said) == notes and all("only emulates bfloat16" in line for line in said)
    monkeypatch.setattr(compute, "right_in_bfloat16", lambda device: False)
    with pytest.raises(Mistake, match="cpu multiplies bfloat16 wrongly here; give --precision f"):
        Compute.of("cpu", (1, 8, 8), precision="bfloat16")


def test_it_goes_by_the_processor_and_by_the_version_of_torch(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    for version, fast in (("2.12.1+cpu", True), ("2.13.0", False), ("3.0.0", False)):
        monkeypatch.setattr(torch, "__version__", version)
        assert compute.multiplies_bfloat16(CPU_DEVICE) == fast
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch, "__version__", "2.12.1")
    assert not compute.multiplies_bfloat16(CPU_DEVICE)


def test_a_wrong_convolution_is_noticed(monkeypatch):
    right = compute.right_in_bfloat16.__wrapped__
    assert right(CPU_DEVICE)
    convolution = compute.F.conv2d

    def wrong(*given, **settings):
        low = torch.is_autocast_enabled("cpu")
        return convolution(*given, **settings) * (1.1 if low else 1)

    monkeypatch.setattr(compute.F, "conv2d", wrong)
    assert not right(CPU_DEVICE)


@pytest.fixture
def workspace(monkeypatch):
    """The variable that cuBLAS reads, which is to be set; afterwards all is as before."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    yield lambda: os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    CPU.enter()
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic_holds_from_the_first_question_to_a_gpu_on(workspace, monkeypatch):
    asked = []
    monkeypatch.setattr(compute, "choose", lambda name: asked.append(workspace()) or CPU_DEVICE)
    Compute.of("cpu", (1, 8, 8))
    assert not torch.are_deterministic_algorithms_enabled()
    Compute.of("cpu", (1, 8, 8), deterministic=True)
    assert asked == [None, ":4096:8"] and torch.are_deterministic_algorithms_enabled()


def test_deterministic_holds_until_another_is_entered(workspace, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    Compute(deterministic=True).enter()
    assert torch.are_deterministic_algorithms_enabled() and workspace() == ":4096:8"
    assert not torch.backends.cudnn.benchmark
    CPU.enter()
    assert not torch.are_deterministic_algorithms_enabled()


def test_who_has_told_torch_to_be_deterministic_is_not_overruled(workspace):
    usual = compute.usually_deterministic
    usual.cache_clear()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        for one in (CPU, Compute(deterministic=True), CPU):
            one.enter()
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled() is (one is CPU)
    finally:
        usual.cache_clear()
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("setting", [{"precision": "half"}, {"compile": "often"}])
def test_other_words_are_refused_with_those_that_there_are(setting):
    with pytest.raises(Mistake, match="accepted: auto"):
        Compute.of("cpu", (1, 8, 8), **setting)


def test_what_is_compiled_is_kept_between_processes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    compute.keep_compiled()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "distill" / "compiled")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    compute.keep_compiled()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "elsewhere"
