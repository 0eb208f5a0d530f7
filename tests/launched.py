"""What ranks do in tests/test_ranks.py: several commands after each other, or one that goes wrong.

Run by torchrun, or by whoever sets its environment variables.
"""

import os
import shlex
import signal
import sys
import time
from pathlib import Path

from distill.runtime import ranks
from distill.runtime.mistake import Mistake, one_line


def squared(folder, job, progress):
    """The square of a number; of two ranks one dies at 5, while the other has 4 in hand."""
    log = folder / "done.txt"
    with open(log, "a") as file:
        file.write(f"{job}\n")
    if ranks.world() > 1:
        while job in (2, 5) and str(job + 1 if job == 2 else 4) not in log.read_text():
            time.sleep(0.02)
        if job == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if job == 4:
            time.sleep(60)
    if job == 1:
        progress.say("warning: one is odd")
        progress.say("nobody needs to know")
    return job * job


def workers(folder):
    """Workers on numbers 0 to 6: rank 0 has 0, 2, 4, 6 and rank 1 the others, if none is kept."""
    import torch

    from distill.runtime.work import FinishedJobs, Work
    from distill.runtime.workers import Workers

    kept = FinishedJobs(Work(folder / "work"), lambda job: f"job{job}", lambda job: {"job": job})
    cpu, progress = torch.device("cpu"), ranks.progress()
    with Workers(folder, shape=(1, 8, 8), device=cpu, progress=progress, given=1) as processes:
        jobs = range(7) if ranks.leading() else iter([])  # rank 0 decides
        print(*processes.run(squared, jobs, what="squares", steps=1, kept=kept))


def ends(folder, how):
    """Go wrong in one of several ways, when all ranks have met."""
    if how == "before" and not ranks.leading():
        raise Mistake("no such thing here")
    elsewhere = how == "folder" and not ranks.leading()
    ranks.meet(folder / "other" if elsewhere else folder)
    if how == "leader" and ranks.leading():
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "error" and not ranks.leading():
        raise ZeroDivisionError("an error of ours")
    ranks.exchange(time.sleep(60) if ranks.leading() else None)


@ranks.led()
def main(folder, how):
    workers(folder) if how == "workers" else ends(folder, how)


def commands(lines):
    """Run what is written in each line: a module and its arguments."""
    for line in lines:
        module, *args = shlex.split(line)
        if module == "distill":
            from distill.__main__ import main as command
        elif module == "classification":
            from benchmarks.classification.__main__ import main as command
        elif module == "ablation":
            from benchmarks.ablation.__main__ import main as command
        else:
            from benchmarks.continual.__main__ import main as command
        command(args)


if __name__ == "__main__":
    with one_line():
        if sys.argv[1] == "commands":
            commands(sys.argv[2:])
        else:
            main(Path(sys.argv[2]), sys.argv[1])
