import threading

import pytest
import torch

from distill.cores import share

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


def test_results_come_in_order_each_from_a_core_of_its_own(threads):
    barrier = threading.Barrier(threads, timeout=20)

    def work(item):
        barrier.wait()  # as many run at a time as there are threads
        return item, torch.get_num_threads(), threading.current_thread().name

    found = share(work, range(4), CPU)
    assert [item for item, _, _ in found] == [0, 1, 2, 3]
    assert {count for _, count, _ in found} == {1}
    assert len({name for _, _, name in found}) == threads


def test_an_error_is_not_lost_and_nothing_is_begun_after_it(threads):
    begun = []

    def work(item):
        begun.append(item)
        if item == 0:
            raise ValueError("broken")
        torch.zeros(1)

    with pytest.raises(ValueError, match="broken"):
        share(work, range(1000), CPU)
    assert len(begun) < 1000
