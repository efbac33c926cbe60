"""Floor of every table: distance of each pixel to the mean training image."""

from dataclasses import dataclass

from ..api import Images, Maps, Method
from ..ops import box_mean, fill_missing


@dataclass(kw_only=True)
class PixelMean(Method):
    blur: int = 5  # side of the mean filter, in pixels

    def fit(self, images: Images) -> "PixelMean":
        """Averages the training images; missing pixels count as 0."""
        self.mean_ = fill_missing(images).mean(dim=0)  # (3, h, w)
        return self

    def anomaly_map(self, images: Images) -> Maps:
        error = (fill_missing(images) - self.mean_).abs().mean(dim=1, keepdim=True)
        return box_mean(error, self.blur)[:, 0]
