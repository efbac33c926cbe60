"""anomlib: the methods of five papers on image anomaly localisation, and how they are compared."""

from .datasets import DATASETS as DATASETS
from .methods import METHODS as METHODS

__version__ = "0.1.0"
