"""What networks reach when they are trained on the whole dataset: looked up, or trained once."""

import sys
from collections.abc import Callable, Mapping, Sequence

from downstream.nas.search import Search, Trials


class Truth:
    """The ground truth of a comparison."""

    def __init__(self, known: Mapping[str, float | None], trials: Callable[[], Trials]) -> None:
        """`known` from earlier runs, by the network's name; `trials` makes the others."""
        self.known = dict(known)
        self._make, self._trials = trials, None

    @property
    def trials(self) -> Trials:
        """On the whole dataset; its images are only put into memory where one is needed."""
        if self._trials is None:
            self._trials = self._make()
        return self._trials

    def _missing(self, names: Sequence[str]) -> Search | None:
        """What has to be trained to know of all these networks."""
        missing = [name for name in names if name not in self.known]
        if not missing:
            return None
        networks = [self.trials.space.parse(name) for name in missing]
        return Search("grid", networks, len(networks), seed=0)

    def announce(self, names: Sequence[str]) -> None:
        """Say what has to be trained, and how long that takes."""
        known = sum(name in self.known for name in names)
        if known:
            print(f"ground truth: {known} networks known from records", file=sys.stderr)
        missing = self._missing(names)
        if missing is not None:
            self.trials.announce(missing)

    def of(self, names: Sequence[str]) -> list[float | None]:
        """The accuracy of each network in percent; None where its trial failed."""
        missing = self._missing(names)
        if missing is not None:
            self.known |= {row["network"]: row["accuracy"] for row in self.trials.run(missing)}
        return [self.known[name] for name in names]
