"""A training step that a GPU keeps as a graph, and does again at one call from Python.

At the sizes of this suite a GPU is done with an operation sooner than Python has asked for it: in a
step of five networks on 100 images it waits most of the time.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from distill.architectures.convnet import ConvNet
from distill.networks import couples_images
from distill.runtime.compute import Compute
from distill.training.passes import gradients
from distill.training.stack import Grouped, Stack

WARM = 3
"""Passes before a capture, as torch's documentation has them: libraries choose their ways then."""


class CapturedStep(NamedTuple):
    """A graph, and where it finds its mini-batch and leaves its loss."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    loss: Tensor


class Captured:
    """`passes.gradients` of a model, for mini-batches of few shapes."""

    def __init__(self, model: Stack, compute: Compute, say: Callable[[str], None]) -> None:
        """`say` is told in a line where a GPU keeps no graph; then it is done without."""
        self.model, self.compute, self.say = model, compute, say
        self.graphs: dict[tuple[torch.Size, torch.Size], CapturedStep | None] = {}
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Set the gradients of the model's parameters; the loss [] summed over the networks.

        Args:
            images: [K, B, C, H, W]. labels: as `passes.cross_entropy` takes them.
        """
        shapes = images.shape, labels.shape
        if shapes not in self.graphs:
            self.graphs[shapes] = self._tried(images, labels)
        held = self.graphs[shapes]
        if held is None:
            self._forget()
            return gradients(self.model, images, labels, compute=self.compute)[0]
        held.images.copy_(images)
        held.labels.copy_(labels)
        held.graph.replay()
        return held.loss.clone()

    def _tried(self, images: Tensor, labels: Tensor) -> CapturedStep | None:
        try:
            return self._capture(images.clone(), labels.clone())
        except RuntimeError as failure:
            reason = str(failure).splitlines()[0]
            self.say(f"training steps are not kept as a graph: {reason}; --compile never is quiet")
            return None

    def _capture(self, images: Tensor, labels: Tensor) -> CapturedStep:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM):
                gradients(self.model, images, labels, compute=self.compute)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=beside):
            self._forget()
            loss, _ = gradients(self.model, images, labels, compute=self.compute)
        return CapturedStep(graph, images, labels, loss)

    def _forget(self) -> None:
        """Zero the gradients in place: all graphs write to the same ones."""
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()


def captured(
    model: Stack | Grouped,
    device: torch.device,
    compute: Compute,
    say: Callable[[str], None] = lambda line: None,
) -> Captured | None:
    """Of ConvNets on a GPU of CUDA; None elsewhere, and where nothing is to be compiled.

    Norms with an eye on the whole batch would keep what they saw in the warm-up, and networks of
    other families may draw numbers.
    """
    if device.type != "cuda" or compute.compile == "never" or not isinstance(model, Stack):
        return None
    fit = all(isinstance(n, ConvNet) and not couples_images(n.spec) for n in model.networks)
    return Captured(model, compute, say) if fit else None
