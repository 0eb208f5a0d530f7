"""Watches a distillation for the failure signs that the paper names, and says so in one line."""

from collections.abc import Callable, Mapping

from torch import Tensor

from distill.objectives.attention import uniformity

CHECKS = 20
"""How many times a run is looked at."""
CONSTANT = 0.05
"""An image whose deviation fell below this fraction of real images' counts as constant."""
UNIFORM = 0.995
"""Attention nearer to the constant map than this (cosine) looks everywhere alike."""
STALLED = 0.002
"""A loss that falls by less than this fraction between two checks has stopped falling."""


class Health:
    """Collapsed images, uniform attention, and a loss that stopped falling early."""

    def __init__(
        self, steps: int, *, window: int, deviation: float, say: Callable[[str], None]
    ) -> None:
        """For a run of `steps`; losses are compared over multiples of `window` steps, since each
        bought network has a loss level of its own; `say` is told each sign once.

        Args:
            deviation: of the pixels of a real image, as a network sees it.
        """
        self.steps, self.say = steps, say
        self.every = max(window, steps // CHECKS // window * window)
        self.deviation = deviation
        self.losses: list[float] = []
        self.means: list[float] = []
        self.said: set[str] = set()

    def watch(self, step: int, loss: float, images: Tensor, maps: Mapping[str, Tensor]) -> None:
        """Look at step `step`, counted from 0.

        Args:
            loss: of this step.
            images: [..., C, H, W], as they are after it.
            maps: attention maps of the synthetic images, [B, D] each, by name.
        """
        self.losses.append(loss)
        if (step + 1) % self.every:
            return
        self._constant(step, images)
        self._uniform(step, maps)
        self._stalled(step)
        self.losses.clear()

    def _constant(self, step: int, images: Tensor) -> None:
        deviation = images.std((-3, -2, -1))
        flat = int((deviation < CONSTANT * self.deviation).sum())
        if flat:
            self._tell(
                "constant",
                f"at step {step + 1}, {flat} of {deviation.numel()} images have collapsed to a "
                "constant; lower the image learning rate",
            )

    def _uniform(self, step: int, maps: Mapping[str, Tensor]) -> None:
        for name, rows in maps.items():
            level = float(uniformity(rows).median())
            if level > UNIFORM:
                self._tell(
                    "uniform",
                    f"at step {step + 1}, {name} looks everywhere alike (cosine {level:.3f} "
                    "with the constant map): it teaches nothing; raise the power",
                )

    def _stalled(self, step: int) -> None:
        """Three checks in a row without a fall, in the first half of the run."""
        self.means.append(sum(self.losses) / len(self.losses))
        if len(self.means) < 4 or 2 * (step + 1) > self.steps:
            return
        best = min(self.means[:-3])
        if min(self.means[-3:]) > best * (1 - STALLED):
            self._tell(
                "stalled",
                f"the loss stopped falling at about step {step + 1 - 3 * self.every} of "
                f"{self.steps}; fewer iterations may do, or a lower image learning rate",
            )

    def _tell(self, sign: str, text: str) -> None:
        if sign not in self.said:
            self.said.add(sign)
            self.say(f"warning: {text}")
