"""Trials of many networks under one set of settings, on either engine, kept in one ledger."""

import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.networks import Spec
from distill.runtime import cores
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake, unknown
from distill.runtime.progress import Progress, clock
from distill.runtime.seeding import generator
from distill.runtime.workers import Workers
from distill.training import train
from downstream.nas import trial
from downstream.nas.space import Space
from downstream.nas.trial import Job, TrialSettings

ENGINES = ("in-process", "service")
LEARNING = ("evolution", "tpe")
"""Strategies for which it matters how many trials are under way at once."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """Where trials run.

    Attributes:
        name: `in-process`, or NNI's training `service`.
        config: NNI's own configuration file for the service; a local one if None.
        concurrency: trials at once on a local service. port: of NNI's server.
        folder: where NNI's files go.
    """

    name: str
    config: Path | None
    concurrency: int
    port: int
    folder: Path

    def check(self) -> None:
        """Find out now what would stop a run later.

        Raises:
            Mistake: no such engine, a configuration that is not NNI's, or a port in use.
        """
        if self.name not in ENGINES:
            raise unknown("engine", self.name, ENGINES)
        if self.concurrency < 1:
            raise Mistake(f"--concurrency {self.concurrency} runs no trial; give 1 or more")
        if self.name == "service":
            from downstream.nas import cluster, service

            service.require_free(self.port)
            cluster.service(self.config, concurrency=self.concurrency).require_reachable()
        elif self.config is not None:
            raise Mistake("--engine-config is for --engine service; the in-process engine has none")

    @property
    def together(self) -> int:
        """Trials under way at once."""
        if self.name == "in-process":
            return 1
        from downstream.nas import cluster

        return cluster.service(self.config, concurrency=self.concurrency).concurrency

    def require_trial(self, settings: TrialSettings) -> None:
        """Find out whether trials can run where they will, and have the images there.

        Raises:
            Mistake: they cannot; the message says where and why.
        """
        if self.name == "service":
            from downstream.nas import cluster

            place = cluster.service(self.config, concurrency=self.concurrency)
            place.require_reachable(settings)


@dataclasses.dataclass(frozen=True)
class Search:
    """Which networks to try: `strategy` of `downstream.nas.proxy.STRATEGIES`.

    Attributes:
        networks: the list that `grid` tries. budget: how many distinct networks the others try.
        seed: of the strategy.
    """

    strategy: str
    networks: Sequence[Spec]
    budget: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Trials:
    """Trials under one set of settings.

    Attributes:
        what: names them in the progress. space: that the networks are of.
        workers: processes for a list of networks that is known beforehand, on the in-process
            engine; None for as many as pay.
    """

    what: str
    job: Job
    ledger: Ledger
    engine: Engine
    space: Space
    workers: int | None = 1

    def announce(self, search: Search) -> None:
        """Say on stderr what is to be trained and about how long it takes."""
        networks = search.networks or self.space.sample(min(search.budget, self.space.total))
        left = [spec for spec in networks if not self.ledger.finished(str(spec))]
        line = f"{self.what}: {len(left)} networks to train, {self.job.steps} steps each"
        if left:
            line += f", about {clock(self.estimate(left))} one after the other"
        if len(left) < len(networks):
            line += f"; {len(networks) - len(left)} are done already ({self.ledger.path})"
        print(line, file=sys.stderr, flush=True)

    def estimate(self, networks: Sequence[Spec]) -> float:
        """About how many seconds trials of `networks` take here, one after the other.

        The cheapest and the dearest by FLOPs are timed for two steps; the others lie between.
        """
        flops = {spec: self.space.size(spec)[1] for spec in networks}
        cheapest, dearest = min(flops, key=flops.get), max(flops, key=flops.get)
        fast, slow = (_step_seconds(spec, self.job, self.space) for spec in (cheapest, dearest))
        slope = (slow - fast) / max(flops[dearest] - flops[cheapest], 1)
        images = min(len(self.job.images), self.job.settings.recipe.batch)
        # A test image costs about a third of a training one.
        steps = self.job.steps + len(self.job.test) / images / 3
        return sum(steps * (fast + slope * (f - flops[cheapest])) for f in flops.values())

    def run(self, search: Search) -> list[dict[str, Any]]:
        """Try the networks, but for those in the ledger; the rows of all, in the order tried.

        Raises:
            Mistake: the ledger cannot be written, or the service failed.
        """
        progress = Progress(sys.stderr)
        path = self.ledger.path
        with self.ledger.held(lambda: progress.say(f"waiting for the run that holds {path}")):
            names = [str(spec) for spec in search.networks]
            left = search.budget - sum(self.ledger.finished(name) is not None for name in names)
            if left > 0:
                own = self._threaded(len(search.networks))
                own._side_by_side(search.networks, progress)
                progress.say("loading NNI, some seconds ...")
                progress.start(self.what, left)
                names = own._run(search, progress)
            return [self.ledger.rows[name] for name in names]

    def _threaded(self, count: int) -> "Trials":
        """With threads as in a run that tries all of so many listed networks: they change bits."""
        job, given = self.job, self.workers if self.engine.name == "in-process" else 1
        device = job.images.device
        number = cores.count(count, job.steps, shape=self.space.shape, device=device, given=given)
        if number == 1 or job.settings.threads is not None:
            return self
        settings = dataclasses.replace(job.settings, threads=1)
        return dataclasses.replace(self, job=dataclasses.replace(job, settings=settings))

    def _side_by_side(self, networks: Sequence[Spec], progress: Progress) -> None:
        """Try what is missing of a list on several processes, where that pays.

        NNI then finds it in the ledger, and tries what failed once more.
        """
        missing = [spec for spec in networks if not self.ledger.finished(str(spec))]
        device, steps = self.job.images.device, self.job.steps
        given = self.workers if self.engine.name == "in-process" else 1
        with Workers(
            self.job, shape=self.space.shape, device=device, progress=progress, given=given
        ) as workers:
            if workers.count(len(missing), steps) == 1:
                return
            jobs = [(self.space, spec) for spec in missing]
            for place, outcome in workers.finished(_tried, jobs, what=self.what, steps=steps):
                spec = missing[place]
                if outcome is not None:
                    sizes = self.space.sizes(spec)
                    self.ledger.add({"network": str(spec), **outcome, **sizes})

    def _run(self, search: Search, progress: Progress) -> list[str]:
        from downstream.nas import engine

        strategy = engine.strategy(
            search.strategy,
            points=[self.space.point(spec) for spec in search.networks],
            axes=len(self.space.axes),
            budget=search.budget,
            seed=search.seed,
        )
        ledgered = functools.partial(
            engine.Ledgered,
            ledger=self.ledger,
            space=self.space,
            budget=search.budget,
            progress=progress,
            together=self.engine.together if search.strategy in LEARNING else None,
        )
        shape = list(self.space.shape)  # NNI sends it as JSON
        points = engine.Points(self.space.symbol(), shape, self.space.classes)
        if self.engine.name == "in-process":
            return engine.run_here(strategy, points, self.job, ledgered=ledgered)
        from downstream.nas import cluster, service

        return service.run_elsewhere(
            strategy,
            points,
            self.job.settings,
            ledgered=ledgered,
            service=cluster.service(self.engine.config, concurrency=self.engine.concurrency),
            port=self.engine.port,
            folder=self.engine.folder,
        )


def _tried(job: Job, own: tuple[Space, Spec], progress: Progress) -> dict[str, Any] | None:
    """The outcome of a trial of a network of a space.

    None for one that cannot be built: NNI, which comes after, has a row for it.
    """
    space, spec = own
    try:
        network = space.build(spec)
    except Exception:
        return None
    progress.start(str(spec), job.steps)
    return trial.evaluate(network, job, lambda done: progress.advance())


def _step_seconds(spec: Spec, job: Job, space: Space) -> float:
    job.settings.compute.enter()
    network = space.build(spec)
    trial.draw(network, generator(0))
    network.to(job.images.device)
    batch = job.settings.recipe.batch
    steps = train.training(
        [network],
        job.images[:batch],
        job.labels[:batch],
        recipe=job.settings.recipe,
        generators=train.streams(0, 1),
        steps=4,
        compute=job.settings.compute,
    )
    began = 0.0
    for done, loss in steps:
        loss.item()
        if done == 2:
            began = time.monotonic()
    return (time.monotonic() - began) / 2
