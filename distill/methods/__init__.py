"""One file is one method: a way to make a small set, a replay buffer, a search's proxy.

A file holds
    VERSION                   raised when a mended bug changes what the same configuration makes
    Config                    a frozen dataclass: everything but the data, ipc and the seed. It
                              checks itself when it is made, and derives from
                              `distill.settings.Settings`, which says what is asked of it
    preset(about, ipc, name)  the Config that a preset (one of `distill.presets.USUAL` at least)
                              stands for, given the facts of the dataset
    distill(real, ipc, config=, seed=, compute=, progress=)
                              images float32 [classes present, ipc, C, H, W] in pixel units. If
                              Config has a true `learns`, it is also given checkpoints=, for
                              `distill.learn.learn` or `distill.training.stretches.run`

`distill.plan.distill` calls it, through the store.
"""

SET = "set"
UNLISTED = {SET: "distill.sets.stored"}
"""What is loaded as methods are, and is none to choose: a set in a file, named by its path."""
