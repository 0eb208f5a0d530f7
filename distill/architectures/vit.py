"""A small vision transformer: torchvision's, fitted to small images."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torchvision.models import VisionTransformer

from distill.architectures._names import chosen
from distill.runtime.mistake import Mistake

PATCHES = 8
"""At most so many patches along each side of an image."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """One vision transformer, e.g. `vit-d4-w128-h4`: encoder layers, width, attention heads."""

    depth: int = 4
    width: int = 128
    heads: int = 4
    norm = "layer"

    def __str__(self) -> str:
        return f"vit-d{self.depth}-w{self.width}-h{self.heads}"


def parse(name: str) -> Spec:
    """`vit`, and any of `d<depth>`, `w<width>` and `h<heads>`.

    Raises:
        Mistake: an unknown part, or a width that the heads cannot share.
    """
    spec = Spec(**chosen(name, ["vit"], numbers={"d": "depth", "w": "width", "h": "heads"}))
    if spec.width % spec.heads:
        raise Mistake(
            f"network '{name}': {spec.heads} heads share the width; choose a width divisible by "
            f"{spec.heads}, or other heads with h<heads>"
        )
    return spec


class ViT(VisionTransformer):
    """Patches of an eighth of the image, a class token, encoder layers, one linear layer.

    Where that leaves a remainder, and where the image is not square, zeros are added to the right
    and below.
    """

    def __init__(self, spec: Spec, shape: tuple[int, int, int], classes: int) -> None:
        """For images of `shape` (C, H, W); `classes` outputs."""
        channels, height, width = shape
        patch = -(-max(height, width) // PATCHES)
        grid = -(-max(height, width) // patch)
        super().__init__(
            image_size=grid * patch,
            patch_size=patch,
            num_layers=spec.depth,
            num_heads=spec.heads,
            hidden_dim=spec.width,
            mlp_dim=4 * spec.width,
        )
        self.spec, self.grid = spec, grid
        self.margin = (0, grid * patch - width, 0, grid * patch - height)
        self.conv_proj = nn.Conv2d(channels, spec.width, patch, stride=patch)
        self.heads = nn.Identity()
        self.head = nn.Linear(spec.width, classes)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw what no layer holds, the class token and the positions, as BERT does."""
        for parameter in (self.class_token, self.encoder.pos_embedding):
            drawn = torch.empty(parameter.shape, device="cpu").normal_(
                std=0.02, generator=generator
            )
            parameter.copy_(drawn)

    def layers(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The tokens after every encoder layer and the embedding.

        Args:
            images: [B, C, H, W], normalised.

        Returns:
            maps: one [B, width, h, w] a layer, the patches' tokens where the patches lie.
            embedding: [B, width], the class token after the last norm.
        """
        patches = self.conv_proj(F.pad(images, self.margin)).flatten(2).transpose(1, 2)
        token = self.class_token.expand(len(images), -1, -1)
        x, maps = torch.cat([token, patches], 1) + self.encoder.pos_embedding, []
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivatives
            for layer in self.encoder.layers:
                x = layer(x)
                maps.append(x[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid)))
        return maps, self.encoder.ln(x)[:, 0]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], normalised, to logits [B, classes]."""
        return self.head(self.layers(images)[1])


Network = ViT
"""What `distill.networks.build` builds."""
