"""Architecture search on a small proxy instead of the whole dataset.

python -m benchmarks.nas --proxy distilled
"""

if __name__ == "__main__":  # so that a signal meanwhile gets one line too
    from distill.runtime import early

    early.hear()

import dataclasses
import sys
from typing import TYPE_CHECKING

from benchmarks import command as shared
from benchmarks.nas.flags import Nas
from benchmarks.opened import label, opened
from distill.runtime import ranks, registry
from distill.runtime.flags import configure, differences, parse
from distill.runtime.mistake import Mistake, one_line, unknown

if TYPE_CHECKING:
    from benchmarks.nas.run import Ready
    from distill.images import About, Data
    from distill.plan import Plan
    from distill.runtime.compute import Compute
    from downstream.nas.proxy import ProxyComparison
    from downstream.nas.search import Engine

PROG = "python -m benchmarks.nas"
SPACE = "space"
"""What stands for the networks of the space, after --method.network."""


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    with ranks.led():
        require_one_process()
        command, flags = opened(*parse(Nas, args, prog=PROG), args, prog=PROG)
        ready = prepare(command, flags)

        from benchmarks.nas.run import run
        from benchmarks.provenance import provenance

        record = run(ready, provenance("benchmarks.nas", args, ready.compute.device))
        shared.publish(record, command.out)


def require_one_process() -> None:
    """Check that torchrun has not started several.

    Raises:
        Mistake: it has.
    """
    if ranks.world() > 1:
        raise Mistake(
            "benchmarks.nas shares out its trials itself; run it without torchrun, with --workers "
            "N or with --engine service --concurrency N"
        )


def prepare(command: Nas, flags: list[str]) -> "Ready":
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks.nas import truth
    from benchmarks.nas.run import Ready
    from distill.runtime import cores
    from downstream.nas import proxy

    about, command = shared.about(command), sized(command)
    plan, label = planned(command, flags, about)
    comparison = proxy.preset(
        command.preset,
        about,
        space=command.space,
        networks=command.networks,
        recipe=command.recipe,
        epochs=command.epochs,
    )
    require_strategy(command, comparison)
    engine = checked_engine(command)
    data, compute = shared.load(command)
    comparison = comparison.checked(len(data.train.classes), trials=command.trials)
    cores.require(command.workers, compute.device)
    if plan is not None:
        require_room(command, plan, data, compute)
    settings = proxy.whole_settings(
        data,
        dataset=command.dataset,
        image_size=command.image_size,
        root=command.data_root,
        recipe=comparison.truth,
        compute=compute,
        space=comparison.space,
    )
    engine.require_trial(settings)
    return Ready(
        command=command,
        plan=plan,
        label=label,
        data=data,
        comparison=comparison,
        engine=engine,
        compute=compute,
        truth=settings,
        known=truth.known(settings, command.truth, shared.record_folders(command.out)),
    )


def sized(command: Nas) -> Nas:
    """The command with a number of images a class: 10 if none is given, 1 where none are asked for.

    Raises:
        Mistake: a number is given for a proxy of which there is nothing to choose.
    """
    from downstream.nas.proxy import SIZELESS, USUAL_IPC

    sizeless = command.proxy in SIZELESS
    if sizeless and command.ipc is not None:
        raise Mistake(
            f"--ipc {command.ipc} has no meaning with --proxy {command.proxy}, which makes no "
            "images; leave --ipc out"
        )
    usual = 1 if sizeless else USUAL_IPC
    return command if command.ipc is not None else dataclasses.replace(command, ipc=usual)


def require_room(command: Nas, plan: "Plan", data: "Data", compute: "Compute") -> None:
    """Check that there is room for the proxy's images.

    Raises:
        Mistake: there is not.
    """
    from distill.sets import disk
    from distill.sets.beforehand import SetSource

    source = SetSource(data.train, compute, command.out / "sets")
    disk.require(command.out, [(plan, data.train.present)], source)


def planned(command: Nas, flags: list[str], about: "About") -> tuple["Plan | None", str]:
    """The set that a proxy is, None for one that has no images of its own; and the row's label.

    Raises:
        Mistake: no such proxy or method, or a method's flag that it does not have.
    """
    from distill import formation, presets
    from distill.plan import Plan
    from distill.runtime.seeding import derive
    from downstream.nas import space
    from downstream.nas.proxy import method_of
    from downstream.nas.source import is_file

    method = method_of(command.proxy, command.method)
    recipe = {} if command.recipe is None else {"recipe": command.recipe}
    if method is None:
        if flags:
            raise Mistake(
                f"{flags[0]} has no meaning with --proxy {command.proxy}: it makes no images"
            )
        return None, " ".join([command.proxy, *(f"recipe={name}" for name in recipe.values())])
    module = registry.load("distill.methods", method)
    preset = module.preset(about, command.ipc, command.preset)
    named = command.space or presets.protocol(command.preset)
    every = None if is_file(named) else space.pattern(named, about.shape)
    if preset.stepwise and every is not None:  # others know no patterns
        flags = spelled(flags, every)
    config = configure(preset, flags, prog=PROG, command=Nas)
    formation.require(config.formation, about.shape)
    changed = differences(preset, config) | recipe
    if every is not None and changed.get("network") == every:
        changed["network"] = SPACE
    plan = Plan(method, config, command.ipc, derive(command.seed, "set", 0))
    return plan, label(flags, shared.label(method, command.preset, changed))


def spelled(flags: list[str], every: str) -> list[str]:
    """The flags of a method, in which the pattern `every` stands for --method.network space."""
    flag = "--method.network"
    given = [f"{flag}={every}" if one == f"{flag}={SPACE}" else one for one in flags]
    pairs = zip(["", *given], given, strict=False)
    return [every if pair == (flag, SPACE) else pair[1] for pair in pairs]


def require_strategy(command: Nas, comparison: "ProxyComparison") -> None:
    """Check the strategy, and flags that would have no meaning.

    Raises:
        Mistake: no such strategy, a flag of another one, or more networks than can be listed.
    """
    from downstream.nas.own import LISTED
    from downstream.nas.proxy import STRATEGIES, UNTRAINED

    most = comparison.space.total
    if command.strategy not in STRATEGIES:
        raise unknown("strategy", command.strategy, STRATEGIES)
    for flag, value in (("--recipe", command.recipe), ("--epochs", command.epochs)):
        if command.proxy == "whole" and value is not None:
            raise Mistake(f"{flag} is for the other proxies; the whole dataset has the preset's")
        if command.proxy in UNTRAINED and value is not None:
            raise Mistake(
                f"{flag} is for proxies that are trained on; {command.proxy} trains nothing"
            )
    if command.proxy in UNTRAINED and command.strategy != "grid":
        raise Mistake(
            f"--strategy {command.strategy} is for proxies that are trained on; --proxy "
            f"{command.proxy} takes grid"
        )
    if command.strategy == "grid" and command.trials is not None:
        raise Mistake(f"--trials {command.trials} is for a search; grid takes --networks")
    if command.strategy != "grid" and command.networks is not None:
        raise Mistake(f"--networks is for --strategy grid; {command.strategy} takes --trials")
    if command.trials is not None and not 2 <= command.trials <= most:
        raise Mistake(
            f"--trials {command.trials}: give a number from 2 to {most}, the space's size"
        )
    grid = command.strategy == "grid"
    flag, tried = ("networks", comparison.networks) if grid else ("trials", command.trials or 0)
    if tried > LISTED:
        raise Mistake(f"{tried} networks are too many to try; give --{flag} N, at most {LISTED}")


def checked_engine(command: Nas) -> "Engine":
    """The engine that the command asks for.

    Raises:
        Mistake: it cannot run here.
    """
    from downstream.nas.search import Engine

    if command.concurrency is not None and command.engine == "in-process":
        raise Mistake(
            "--concurrency is for --engine service; the in-process engine takes --workers N"
        )
    engine = Engine(
        command.engine,
        command.engine_config,
        command.concurrency or 2,
        command.port,
        command.out / "nni",
    )
    engine.check()
    return engine


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
