"""Spectral residual: what is left of an image when the smooth part of its log spectrum is taken.

References:
    | Saliency Detection: A Spectral Residual Approach (Hou and Zhang, 2007)

Departures:
    1. The image is grey (mean of RGB) and its saliency is brought back to the image's own size.
    2. The paper prints sigma = 8 and a 64-pixel image. SSDnet compares at 256 pixels without
       saying how, so `width` and `sigma` are fields.
    3. At the border of the spectrum the 3 x 3 mean is over the values that exist; the paper does
       not say.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..api import Images, Maps, Method
from ..ops import box_mean, gaussian_blur, grey_at


def saliency(grey: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Sec. 2.2: S = |F^-1[exp(R + iP)]|^2 with the residual R = L - mean of L over 3 x 3."""
    spectrum = torch.fft.fft2(grey)
    amplitude = spectrum.abs().clamp(min=1e-8)  # a constant image has zeros, whose log is not
    log_amplitude = amplitude.log()
    residual = log_amplitude - box_mean(log_amplitude, 3)
    return torch.fft.ifft2(spectrum / amplitude * residual.exp()).abs().square()


@dataclass(kw_only=True)
class SpectralResidual(Method):
    width: int | None = 64  # Sec. 3; None keeps the image's own size
    sigma: float = 8.0  # Sec. 2.2, in pixels of the saliency map

    def fit(self, images: Images) -> "SpectralResidual":
        """Does nothing: the method needs no training images."""
        return self

    def anomaly_map(self, images: Images) -> Maps:
        grey = grey_at(images, self.width, "bilinear")  # (n, 1, h, w)
        maps = gaussian_blur(saliency(grey), self.sigma)
        return F.interpolate(maps, images.shape[-2:], mode="bilinear")[:, 0]
