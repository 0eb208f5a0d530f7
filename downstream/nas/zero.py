"""Zero-cost proxies: a score of a network with random weights, from one pass there and back.

Nothing is trained. Each network's weights are drawn once, from a generator of its own, as published
scores are from one draw; another seed is another row. A network without a finite score is ranked
below all others.
"""

import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distill.images import ImageSet
from distill.networks import Spec
from distill.runtime import cores
from distill.runtime.compute import Compute
from distill.runtime.ledger import Ledger
from distill.runtime.progress import Progress
from distill.runtime.seeding import derive, generator
from distill.runtime.workers import Workers
from downstream.nas import trial
from downstream.nas.source import seeded
from downstream.nas.space import Space
from downstream.nas.trial import TrialSettings

VERSION = 1
"""Raised when a mended bug changes a score: ledgers and records expire."""
IMAGES = 64
"""Real training images of `jacob_cov`'s mini-batch, as Abdelfattah et al. take; all, if fewer."""
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
STABILISER = 1e-5
"""k of `jacob_cov`."""
ROUNDING = 1e-12
"""Of the logits, what float64 leaves of a network that does not look at the image."""


def synflow(network: nn.Module, images: Tensor) -> float:
    """Synaptic flow: the sum over weights of theta * dR/dtheta (Tanaka et al. 2020, equation 2).

    R is the sum of the logits for an image of ones, in the network with |theta| in the place of
    theta. Weights are all parameters but biases, which are taken absolute too. As Abdelfattah et
    al. (2021) score whole networks, batch norm is left out, and so is every other norm: R would not
    change with the weights' scale, and the sum would be 0. In float64: deep networks overflow
    float32. Changes `network`.

    Args:
        images: [B, C, H, W], of which the shape and the device matter alone.
    """
    network = _without_norms(network.double().eval())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=images.device)
    network(ones).sum().backward()
    weights = [p for p in network.parameters() if p.ndim > 1 and p.grad is not None]
    return sum((weight * weight.grad).sum().item() for weight in weights)


def jacob_cov(network: nn.Module, images: Tensor) -> float:
    """How unlike the Jacobians of a mini-batch are (Mellor et al. 2020, version 1, equation 3).

    The sum of the logits is differentiated by each image; S = -sum(log(v + k) + 1 / (v + k)) over
    the eigenvalues v of the correlation matrix of these gradients, k = 1e-5. Batch norm sees the
    mini-batch, as in training. In float64: eigenvalues near 0 decide. Changes `network`.

    Args:
        images: float [B, C, H, W], normalised.

    Returns:
        The score; NaN if the gradient of an image is the same for all its pixels, or rounding: its
        logits do not depend on it.
    """
    images = images.double().requires_grad_()
    logits = network.double().train()(images)
    (gradients,) = torch.autograd.grad(logits.sum(), images)
    rows = gradients.flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    lengths = rows.norm(dim=1)
    if not (lengths * images.flatten(1).norm(dim=1) > ROUNDING * logits.abs().sum(1)).all():
        return math.nan
    rows = rows / lengths[:, None]
    values = torch.linalg.eigvalsh(rows @ rows.T) + STABILISER
    return -(values.log() + 1 / values).sum().item()


SCORES = {"synflow": synflow, "jacob_cov": jacob_cov}
LOOKING = ("jacob_cov",)
"""Those that look at the mini-batch; of it `synflow` takes the shape alone."""


def _without_norms(network: nn.Module) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NORMS):
                setattr(parent, name, nn.Identity())
    return network


# ------------------------------------------------------------------ the scores of many networks


@dataclasses.dataclass(frozen=True)
class Scored:
    """What is scored, and on what.

    Attributes:
        proxy: a key of SCORES. images: float [B, C, H, W], normalised, on the device.
        seed: of the weights and of what images they are.
    """

    proxy: str
    images: Tensor
    seed: int
    compute: Compute


def batch(real: ImageSet, *, seed: int, device: torch.device) -> Tensor:
    """The mini-batch of IMAGES real images [B, C, H, W], normalised, the same for all networks."""
    chosen = torch.randperm(len(real), generator=generator(seed, "zero-cost images"))[:IMAGES]
    return real.normalisation(real.images[chosen]).to(device)


def identity(settings: TrialSettings, scored: Scored) -> dict[str, Any]:
    """What a score depends on, besides the network; `settings` are those of the ground truth."""
    whole = settings.identity()
    shared = ("dataset", "data", "normalisation", "space")
    facts = {name: whole[name] for name in shared if name in whole}
    own = {"version": VERSION, "images": len(scored.images), "seed": scored.seed}
    return {"score": scored.proxy, **own, **facts}


def outcome(scored: Scored, own: tuple[Space, Spec], progress: Progress) -> dict[str, Any]:
    """The score of a network of a space, as the row of a trial.

    Returns:
        status: `scored`; `diverged` if the score is not finite; `failed` if there is none.
        accuracy: the score; None unless scored. reason: why none. seconds: wall clock.
    """
    space, spec = own
    began = time.monotonic()
    row: dict[str, Any] = {"status": "scored", "accuracy": None, "looks": [], "reason": None}
    scored.compute.enter()
    try:
        network = space.build(spec)
        trial.draw(network, generator(scored.seed, "zero-cost network", str(spec)))
        network.to(scored.images.device)
        with seeded(derive(scored.seed, "zero-cost dropout", str(spec))):
            score = SCORES[scored.proxy](network, scored.images)
        if math.isfinite(score):
            row["accuracy"] = score
        else:
            row |= {"status": "diverged", "reason": f"its score is {score}"}
    except Exception as error:  # one network must not end the others; its row says what happened
        row |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}
    return row | {"seconds": round(time.monotonic() - began, 4)}


def scores(
    scored: Scored,
    networks: Sequence[Spec],
    *,
    space: Space,
    ledger: Ledger,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """The rows of all networks, in their order; those in the ledger are not scored again.

    Raises:
        Mistake: the ledger cannot be written.
    """
    progress, device = Progress(sys.stderr), scored.images.device
    with ledger.held(lambda: progress.say(f"waiting for the run that holds {ledger.path}")):
        left = [spec for spec in networks if not ledger.finished(str(spec))]
        done = len(networks) - len(left)
        found = f", {done} are done already ({ledger.path})" if done else ""
        progress.say(f"{scored.proxy}: {len(left)} networks to score, none is trained{found}")
        steps = 1 + len(scored.images) // 16
        count = cores.count(len(networks), steps, shape=space.shape, device=device, given=workers)
        if count > 1:  # with threads as in a run that scores all: they change bits
            compute = dataclasses.replace(scored.compute, threads=1)
            scored = dataclasses.replace(scored, compute=compute)
        shared = {"shape": space.shape, "device": device, "progress": progress, "given": workers}
        with Workers(scored, **shared) as processes:
            jobs = [(space, spec) for spec in left]
            for place, row in processes.finished(
                outcome, jobs, what="networks scored", steps=steps
            ):
                spec = left[place]
                ledger.add({"network": str(spec), **row, **space.sizes(spec)})
        return [ledger.rows[str(spec)] for spec in networks]
