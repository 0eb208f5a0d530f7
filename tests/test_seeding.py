"""One seed, many independent streams."""

import torch

from distill.runtime.seeding import derive, generator


def test_seeds_of_different_purposes_share_nothing():
    seeds = {derive(run, "set", number) for run in range(20) for number in range(20)}
    assert len(seeds) == 400 and all(0 <= seed < 2**63 for seed in seeds)
    assert derive(0, "set", 1) != derive(1, "set", 0)
    assert derive(0, "set", 1) != derive(0, "order", 1) != derive(0, "set", "1")
    assert derive(0, "a", "b") != derive(0, "ab") != derive(0)


def test_a_seed_means_the_same_for_ever():
    assert derive(0, "set", 1) == 2573805488728177808
    assert generator(0, "network", 7).initial_seed() == derive(0, "network", 7)


def test_streams_do_not_depend_on_what_was_drawn_before():
    first = torch.rand(3, generator=generator(0, "a"))
    torch.rand(5, generator=generator(0, "b"))
    assert torch.equal(torch.rand(3, generator=generator(0, "a")), first)
    assert not torch.equal(torch.rand(3, generator=generator(1, "a")), first)
