"""Architecture search on a small proxy instead of the whole dataset.

python -m benchmarks.nas --proxy distilled
"""

import sys
from typing import TYPE_CHECKING

from benchmarks import command as shared
from benchmarks.nas.flags import Nas
from distill.runtime import registry
from distill.runtime.flags import configure, differences, parse
from distill.runtime.mistake import Mistake, one_line, unknown

if TYPE_CHECKING:
    from benchmarks.nas.run import Ready
    from distill.images import About
    from distill.plan import Plan
    from downstream.nas.search import Engine

PROG = "python -m benchmarks.nas"


def main(args: list[str]) -> None:
    """Run what `args` ask for, write its record and show it beside the others."""
    command, flags = parse(Nas, args, prog=PROG)
    ready = prepare(command, flags)

    from benchmarks.nas.run import run
    from benchmarks.provenance import provenance

    record = run(ready, provenance("benchmarks.nas", args, ready.compute.device))
    shared.publish(record, command.out)


def prepare(command: Nas, flags: list[str]) -> "Ready":
    """Check the command and load its data.

    Raises:
        Mistake: for every way in which the command cannot be carried out.
    """
    from benchmarks.nas import truth
    from benchmarks.nas.run import Ready
    from distill.runtime import cores
    from downstream.nas import proxy

    about = shared.about(command)
    plan, label = planned(command, flags, about)
    comparison = proxy.preset(
        command.preset, about, space=command.space, networks=command.networks, epochs=command.epochs
    )
    require_strategy(command)
    engine = checked_engine(command)
    data, compute = shared.load(command)
    cores.require(command.workers, compute.device)
    settings = proxy.whole_settings(
        data,
        dataset=command.dataset,
        image_size=command.image_size,
        root=command.data_root,
        recipe=comparison.truth,
        compute=compute,
    )
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


def planned(command: Nas, flags: list[str], about: "About") -> tuple["Plan | None", str]:
    """The set that a proxy is, None for one that has no images of its own; and the row's label.

    Raises:
        Mistake: no such proxy or method, or a method's flag that it does not have.
    """
    from distill.plan import Plan
    from distill.runtime.seeding import derive
    from downstream.nas.proxy import method_of

    method = method_of(command.proxy, command.method)
    if method is None:
        if flags:
            raise Mistake(
                f"{flags[0]} has no meaning with --proxy {command.proxy}: it makes no images"
            )
        return None, command.proxy
    module = registry.load("distill.methods", method)
    preset = module.preset(about, command.ipc, command.preset)
    config = configure(preset, flags, prog=PROG)
    plan = Plan(method, config, command.ipc, derive(command.seed, "set", 0))
    return plan, shared.label(method, command.preset, differences(preset, config))


def require_strategy(command: Nas) -> None:
    """Check the strategy, and flags that would have no meaning.

    Raises:
        Mistake: no such strategy, or a flag of another one.
    """
    from downstream.nas.proxy import FREE, STRATEGIES
    from downstream.nas.space import every

    if command.strategy not in STRATEGIES:
        raise unknown("strategy", command.strategy, STRATEGIES)
    if command.proxy == "whole" and command.epochs is not None:
        raise Mistake("--epochs is for the other proxies; the whole dataset's are the preset's")
    if command.proxy in FREE and command.epochs is not None:
        raise Mistake(
            f"--epochs is for proxies that are trained on; {command.proxy} trains nothing"
        )
    if command.proxy in FREE and command.strategy != "grid":
        raise Mistake(
            f"--strategy {command.strategy} is for proxies that are trained on; --proxy "
            f"{command.proxy} takes grid"
        )
    if command.strategy == "grid" and command.trials is not None:
        raise Mistake(f"--trials {command.trials} is for a search; grid takes --networks")
    if command.strategy != "grid" and command.networks is not None:
        raise Mistake(f"--networks is for --strategy grid; {command.strategy} takes --trials")
    most = len(every(command.space or command.preset))
    if command.trials is not None and not 2 <= command.trials <= most:
        raise Mistake(
            f"--trials {command.trials}: give a number from 2 to {most}, the space's size"
        )


def checked_engine(command: Nas) -> "Engine":
    """The engine that the command asks for.

    Raises:
        Mistake: it cannot run here.
    """
    from downstream.nas.search import Engine

    engine = Engine(
        command.engine,
        command.engine_config,
        command.concurrency,
        command.port,
        command.out / "nni",
    )
    engine.check()
    return engine


if __name__ == "__main__":
    with one_line():
        main(sys.argv[1:])
