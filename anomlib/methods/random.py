"""Floor of every table: an independent uniform score for each pixel."""

import zlib
from dataclasses import dataclass

import torch

from ..api import Images, Maps, Method


@dataclass(kw_only=True)
class Random(Method):
    def fit(self, images: Images) -> "Random":
        """Does nothing."""
        return self

    def anomaly_map(self, images: Images) -> Maps:
        maps = torch.empty_like(images[:, 0])
        for image, scores in zip(images, maps, strict=True):
            # seeded by the image too: its map does not depend on its place in the batch
            checksum = zlib.crc32(image.cpu().numpy().tobytes(), self.seed)
            generator = torch.Generator().manual_seed(checksum)
            scores.copy_(torch.rand(scores.shape, generator=generator))
        return maps
