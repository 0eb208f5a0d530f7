"""What a piece of work takes."""

import time


class Watch:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self.began = time.monotonic(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Seconds by the clock, and core seconds: those of all threads of this process together."""
        wall, cores = self.began
        return time.monotonic() - wall, time.process_time() - cores
