from .pixelmean import PixelMean
from .random import Random
from .spectral_residual import SpectralResidual
from .ssdnet import SSDnet

METHODS = {
    "ssdnet": SSDnet,
    "spectral_residual": SpectralResidual,
    "random": Random,
    "pixelmean": PixelMean,
}
