from .crad import CRAD
from .dsr import DSR
from .fae import FAE
from .fair import FAIR
from .fastflow import FastFlow
from .glcm import GLCM
from .grad import GRAD
from .padim import PaDiM
from .patchcore import PatchCore
from .pg_lsr import PGLSR
from .pixelmean import PixelMean
from .random import Random
from .rpca import RPCA
from .spade import SPADE
from .spectral_residual import SpectralResidual
from .ssdnet import SSDnet
from .stfpm import STFPM
from .subspace import Subspace
from .winclip import WinCLIP

METHODS = {
    "ssdnet": SSDnet,
    "subspace": Subspace,
    "fair": FAIR,
    "grad": GRAD,
    "fae": FAE,
    "crad": CRAD,
    "glcm": GLCM,
    "spectral_residual": SpectralResidual,
    "pg_lsr": PGLSR,
    "rpca": RPCA,
    "spade": SPADE,
    "padim": PaDiM,
    "patchcore": PatchCore,
    "stfpm": STFPM,
    "fastflow": FastFlow,
    "dsr": DSR,
    "winclip": WinCLIP,
    "random": Random,
    "pixelmean": PixelMean,
}
