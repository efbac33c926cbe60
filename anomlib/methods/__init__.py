from .pixelmean import PixelMean
from .random import Random
from .spectral_residual import SpectralResidual
from .ssdnet import SSDnet
from .winclip import WinCLIP

METHODS = {
    "ssdnet": SSDnet,
    "spectral_residual": SpectralResidual,
    "winclip": WinCLIP,
    "random": Random,
    "pixelmean": PixelMean,
}
