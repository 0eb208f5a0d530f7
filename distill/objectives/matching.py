"""Statistic matching: the objective that DataDAM and DM share.

A statistic maps a network and a batch to vectors, one an image; the loss is the weighted squared
distance between the class means of the real and of the synthetic batch, summed over the classes.
The real side enters through class means alone, so it needs no gradients and runs in chunks. A term
may be logits instead: then it is the mean cross-entropy of a class's synthetic images.

With any norm but batch norm the loss is a sum over classes, given the random network and the
augmentation drawn for each class. Every class draws from streams of its own, and its images pass
through the network in pieces of a shape of their own (`distill.training.pieces`). So they do not
depend on which other classes are distilled with them: on a CPU to the last bit.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill import formation, learn, pattern
from distill.augment import Draw, augment, draw
from distill.checkpoints import NONE, Checkpoints
from distill.drawing import RealImages
from distill.images import ImageSet
from distill.learn import Step
from distill.networks import INITIALISATIONS, Network, Spec
from distill.objectives.bank import Bank
from distill.objectives.members import Member, Statistic, Vectors
from distill.runtime.compute import FLOAT32, Compute
from distill.runtime.mistake import Mistake, unknown
from distill.runtime.progress import Progress
from distill.runtime.seeding import generator
from distill.settings import require
from distill.training.compiled import WORTH_COMPILING, fused_augment
from distill.training.pieces import filled

LONG = 1000
"""Steps that a run is taken to have: one of fewer may be the beginning of one of more, and must
round as that does."""


@dataclasses.dataclass(frozen=True)
class Config(learn.Config):
    """What every matching method is told besides.

    Attributes:
        network: name of the random networks, `convnet-d3-w128-instance-relu-avg` or another, or of
            a pattern from which each is drawn: 'convnet-d{2,3}-{instance,batch}', in quotation
            marks since a shell has a use of its own for braces. Batch norm couples the classes:
            then a class's images depend on the classes it is distilled with.
        networks: K > 0 draws K random networks once, each with its augmentation and its real
            images, and buys the targets from them; 0 draws all afresh at every step, as published.
        real_batch: real images per class for each target; a smaller class gives all it has.
        augmented: DSA, the same draw for a class's real and synthetic images.
        initialisation: how the weights of the random networks are drawn: `uniform`, as torch does
            by default, `kaiming`, `xavier`, `orthogonal` or `normal`.
        trained: the passes over the real images of all classes present, by which networks are
            trained before targets are bought in them. That couples the classes. 0 leaves networks
            as they were drawn.
        bank: how many networks are trained. The targets, `networks` of them, are bought in all of
            these at several points on the way, in turn.
    """

    network: str = "convnet-d3-w128-instance-relu-avg"
    networks: int = 0
    real_batch: int = 128
    augmented: bool = True
    initialisation: str = INITIALISATIONS[0]
    trained: float = 0.0
    bank: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        named = pattern.parse(self.network).name  # one network, one name
        object.__setattr__(self, "network", named)
        require(self, "networks", least=0, most=1_000_000)
        require(self, "real_batch", least=1, most=1_000_000)
        if self.initialisation not in INITIALISATIONS:
            raise unknown("--method.initialisation", self.initialisation, INITIALISATIONS)
        require(self, "trained", least=0, most=10_000)
        require(self, "bank", least=1, most=10_000)
        if self.trained and not self.networks:
            raise Mistake(
                f"--method.trained {self.trained:g}: in trained networks targets are bought once, "
                "so give --method.networks above 0, such as 64; or --method.trained 0"
            )

    @property
    def couples_classes(self) -> bool:
        """True if a class's images depend on the classes distilled with it."""
        return self.trained > 0 or pattern.parse(self.network).couples_images


def match(
    statistic: Statistic,
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    seed: int,
    compute: Compute,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> Tensor:
    """Learn `ipc` images for every class present in `real` by matching `statistic`.

    Returns:
        float32 [G, ipc, C, H, W] in pixel units, ordered by class id.

    Raises:
        Mistake: what `learn.learn` raises.
    """
    asked = {"config": config, "seed": seed, "checkpoints": checkpoints}
    objective = Matching(statistic, real, ipc, compute=compute, **asked)
    return learn.learn(objective, real, ipc, device=compute.device, progress=progress, **asked)


def match_told(
    statistic: Callable[..., list[Vectors]],
    real: ImageSet,
    ipc: int,
    *,
    config: Config,
    **given: Any,
) -> Tensor:
    """`match` by a statistic that takes the configuration besides, as `config=`."""
    return match(functools.partial(statistic, config=config), real, ipc, config=config, **given)


KEPT = 2**28
"""Bytes that the weights of bought networks may take; others are drawn anew each time."""


class Target(NamedTuple):
    """What one random network asks of the synthetic images."""

    draws: Draw | None  # of G classes; None without augmentation
    means: list[Tensor]  # one [G, D] a term
    weights: list[Tensor] | None = None  # of the network, where they are kept


class Matching:
    """The objective: class means of a statistic, in random networks."""

    def __init__(
        self,
        statistic: Statistic,
        real: ImageSet,
        ipc: int,
        *,
        config: Config,
        seed: int,
        compute: Compute,
        dtype: torch.dtype = torch.float32,
        checkpoints: Checkpoints = NONE,
    ) -> None:
        """The store of `checkpoints` keeps networks that are trained."""
        self.statistic, self.per_class = statistic, ipc * config.formation**2
        self.real, self.config = real, config
        self.seed, self.compute, self.dtype = seed, compute, dtype
        self.window = max(config.networks, 1)
        device = self.device = compute.device
        self.pattern = pattern.parse(config.network)
        self.pattern.require(real.shape)
        self.members: dict[Spec, Member] = {}
        self.images = RealImages(
            real,
            batch=config.real_batch,
            times=config.networks or LONG,
            device=device,
            dtype=dtype,
        )
        self.shown = formation.Shown(config.formation, self.images.normalisation, real.shape)
        self.operations = real.about.operations if config.augmented else ()
        self.labels = torch.tensor(real.present, device=device)
        self.checkpoints = checkpoints
        self.states: list[list[Tensor]] = []
        self.bought: dict[int, Target] = {}
        self.augment = self.augment_real = augment

    @property
    def network(self) -> Network:
        """The first of the random networks, with the weights of the moment."""
        return self._member(0).network

    def _member(self, k: int) -> Member:
        """The network number k, with the weights of the moment."""
        spec = self.pattern.draw(self.seed, k % self.config.bank if self.config.trained else k)
        if spec not in self.members:
            if sum(member.nbytes for member in self.members.values()) > KEPT:
                self.members.clear()
            self.members[spec] = Member(
                spec,
                self.statistic,
                self.real,
                shown=self.per_class,
                batch=self.config.real_batch,
                compute=self.compute,
                dtype=self.dtype,
                initialisation=self.config.initialisation,
            )
        return self.members[spec]

    def prepare(self, progress: Progress) -> None:
        """Train networks, compile what is worth it, and buy the targets."""
        if self.config.trained:
            bank = Bank.of(self.config, self.real, seed=self.seed, compute=self.compute)
            self.states = bank.weights(progress, self.checkpoints)
        self._compile(progress.say)
        if self.config.networks:
            progress.start("targets", self.config.networks)
            nbytes = 0
            for k in range(self.config.networks):
                target, member = self.target(k), self._member(k)
                nbytes += member.nbytes
                if not self.states and nbytes <= KEPT:
                    target = target._replace(weights=member.weights())
                self.bought[k] = target
                progress.advance()

    def _compile(self, say: Callable[[str], None]) -> None:
        """Fuse the operations of either side where one class's share of the work is worth it.

        In float32 a CPU's synthetic side gains nothing (measured: a tenth slower at width 128). Of
        a pattern each network would need the compiler for itself, and has few steps.
        """
        always, several = self.compute.compile == "always", len(self.pattern.members) > 1
        if self.compute.compile == "never" or self.pattern.couples_images or several:
            return
        member, gpu = self._member(0), self.device.type != "cpu"
        real = (self.config.networks or LONG) * self.config.real_batch * member.flops
        synthetic = 3 * LONG * member.pieces.shown * member.flops
        if gpu:  # which waits for Python on both sides
            real = synthetic = max(real, synthetic)
        gains = gpu or self.compute.precision != FLOAT32
        if always or real >= WORTH_COMPILING:
            member.compile_real(say)
        if always or (gains and synthetic >= WORTH_COMPILING):
            member.compile_synthetic(say)
            if gpu and self.operations:
                shown = member.pieces.classes, self.per_class, *self.real.shape
                self.augment = fused_augment(self.operations, shown, self.device, say)
                if self.images.each is not None:
                    drawn = len(self.labels), self.images.each, *self.real.shape
                    self.augment_real = fused_augment(self.operations, drawn, self.device, say)

    def settled(self, k: int) -> Member:
        """The network of target k. A random one depends on the seed and on k alone."""
        member, target = self._member(k), self.bought.get(k)
        if self.states:
            member.put(self.states[k % len(self.states)])
        elif target is None or target.weights is None:
            member.settle(self.seed, k)
        else:
            member.put(target.weights)
        return member

    def target(self, k: int) -> Target:
        """Draw for network k, and the class means of the real images in it."""
        member = self.settled(k)
        streams = [generator(self.seed, "target", k, label) for label in self.real.present]
        draws = None
        if self.operations:
            like = torch.empty(0, device=self.device, dtype=self.dtype)
            draws = draw(streams, self.operations).to(like)
        images = self.images.draw_all(streams, draws, self.augment_real)
        return Target(draws, member.class_means(images))

    def step(self, images: Tensor, number: int) -> Step:
        """The loss at step `number`, summed over the classes; images [G, ipc, C, H, W]."""
        count = self.config.networks
        k = number % count if count else number
        target = self.bought[k] if count else self.target(k)
        member = self.settled(k) if count else self._member(k)
        together, total, gradients = member.pieces.classes, images.new_zeros(()), []
        for first in range(0, len(images), together):
            classes = slice(first, first + together)
            part = images.detach()[classes]
            view = filled(part, together).clone().requires_grad_()
            loss, terms = self._loss(member, view, len(part), classes, target)
            gradients += [torch.autograd.grad(loss, view)[0][: len(part)]]
            total += loss.detach()
        real = len(part) * self.per_class  # the others fill the piece up
        maps = {v.name: v.rows[:real].detach() for v in terms if v.name.startswith("attention")}
        return Step(total.item(), torch.cat(gradients), maps)

    def _loss(
        self, member: Member, view: Tensor, count: int, classes: slice, target: Target
    ) -> tuple[Tensor, list[Vectors]]:
        """Of the first `count` classes in view [g, ipc, C, H, W]: the loss [] and all terms."""
        batch = self.shown(view)
        if target.draws is not None:
            batch = self.augment(batch, target.draws.of(classes).filled(len(view)))
        terms = member.terms(member.synthetic_side, batch.flatten(0, 1))
        loss = view.new_zeros(())
        for vectors, mean in zip(terms, target.means, strict=True):
            loss = loss + vectors.loss(mean[classes], self.labels[classes], batch.shape[1])
        return loss, terms
