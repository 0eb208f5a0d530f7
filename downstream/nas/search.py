"""Trials of many networks under one set of settings, on either engine, kept in one ledger."""

import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill import train
from distill.networks import Spec, build, parse, size
from distill.runtime import cores
from distill.runtime.ledger import Ledger
from distill.runtime.mistake import Mistake, unknown
from distill.runtime.progress import Progress, clock
from distill.runtime.seeding import generator
from distill.runtime.workers import Workers
from downstream.nas import trial
from downstream.nas.space import every, sample
from downstream.nas.trial import Job, Settings

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

    def require_trial(self, settings: Settings) -> None:
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
    space: str
    networks: Sequence[Spec]
    budget: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Trials:
    """Trials under one set of settings.

    Attributes:
        what: names them in the progress. classes: how many the dataset has.
        workers: processes for a list of networks that is known beforehand, on the in-process
            engine; None for as many as pay.
    """

    what: str
    job: Job
    ledger: Ledger
    engine: Engine
    classes: int
    workers: int | None = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self.job.images.shape[1:]
        return channels, height, width

    def size(self, spec: Spec) -> dict[str, int]:
        """Parameters and FLOPs of a network, as its row holds them."""
        parameters, flops = size(spec, self.shape, self.classes)
        return {"parameters": parameters, "flops": flops}

    def announce(self, search: Search) -> None:
        """Say on stderr what is to be trained and about how long it takes."""
        most = len(every(search.space))
        networks = search.networks or sample(search.space, min(search.budget, most))
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
        flops = {spec: self.size(spec)["flops"] for spec in networks}
        cheapest, dearest = min(flops, key=flops.get), max(flops, key=flops.get)
        fast, slow = (_step_seconds(spec, self.job, self.classes) for spec in (cheapest, dearest))
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
        number = cores.count(count, job.steps, shape=self.shape, device=device, given=given)
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
            self.job, shape=self.shape, device=device, progress=progress, given=given
        ) as workers:
            if workers.count(len(missing), steps) == 1:
                return
            names = [(str(spec), self.classes) for spec in missing]
            for place, outcome in workers.finished(_tried, names, what=self.what, steps=steps):
                spec = missing[place]
                if outcome is not None:
                    self.ledger.add({"network": str(spec), **outcome, **self.size(spec)})

    def _run(self, search: Search, progress: Progress) -> list[str]:
        from downstream.nas import engine

        strategy = engine.strategy(
            search.strategy, networks=search.networks, budget=search.budget, seed=search.seed
        )
        ledgered = functools.partial(
            engine.Ledgered,
            ledger=self.ledger,
            budget=search.budget,
            describe=self.size,
            progress=progress,
            together=self.engine.together if search.strategy in LEARNING else None,
        )
        if self.engine.name == "in-process":
            space = engine.ConvNetSpace(search.space, self.shape, self.classes)
            return engine.run_here(strategy, space, self.job, ledgered=ledgered)
        from downstream.nas import cluster, service

        return service.run_elsewhere(
            strategy,
            engine.ConvNetSpace(search.space, list(self.shape), self.classes),
            self.job.settings,
            ledgered=ledgered,
            service=cluster.service(self.engine.config, concurrency=self.engine.concurrency),
            port=self.engine.port,
            folder=self.engine.folder,
        )


def _tried(job: Job, named: tuple[str, int], progress: Progress) -> dict[str, Any] | None:
    """The outcome of a trial of the network of that name, for so many classes.

    None for one that cannot be built: NNI, which comes after, has a row for it.
    """
    name, classes = named
    spec, shape = parse(name), tuple(job.images.shape[1:])
    try:
        network = build(spec, shape, classes=classes, generator=generator(0))
    except Exception:
        return None
    progress.start(name, job.steps)
    return trial.evaluate(network, job, lambda done: progress.advance())


def _step_seconds(spec: Spec, job: Job, classes: int) -> float:
    job.settings.compute.enter()
    network = build(spec, tuple(job.images.shape[1:]), classes=classes, generator=generator(0))
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
