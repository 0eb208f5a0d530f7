"""One file is one method: a way to make a small set, a replay buffer, a NAS proxy.

A file holds
    REDRAWN                     True if its sets cost next to nothing, so that a harness draws a new
                                one for every class order; False if orders share one set
    Config                      a frozen dataclass: everything but the data, ipc and the seed;
                                `couples_classes` says whether a class's images depend on the others
    preset(dataset, ipc, name)  the Config that a preset (`laptop` or `paper`) stands for
    distill(real, ipc, config=, seed=, device=, progress=) -> SyntheticSet
"""
