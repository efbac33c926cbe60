"""DSR: a network trained on defects drawn in a quantised feature space finds what is not normal.

References:
    | DSR: A Dual Subspace Re-Projection Network for Surface Anomaly Detection (Zavrtanik et al.,
      2022), whose text was not at hand: "code" is the authors',
      VitjanZ/DSR_anomaly_detection@672bfb8
    | Networks, defects and autoencoder are anomalib's (2.7), and so are the sums of losses
    | Compared with in Subspace-Guided Feature Reconstruction (Hotta et al., 2025)

Choices and departures:
    1. The focal loss is ours. anomalib's weighs normal pixels by zero with kornia 0.9 (its
       `alpha=1`), so that calling every pixel anomalous is the optimum, and takes the softmax of
       a softmax. The code weighs all alike and takes one; it also smooths the labels by 1e-5.
    2. The learning rate falls to a tenth after 80 % of the second phase, as in the code. anomalib
       sets this up, but in its own loop nothing advances it.
    3. The second and third phase have 100 and 50 epochs, as the code's README runs it; anomalib
       gives them 70 and 30 % of all epochs. Defects of the third phase are anomalib's (coloured
       Perlin noise), whose likeness to those of the code was not checked.
    4. Networks start as torch draws them, as in anomalib; the code draws two of them otherwise.
    5. The first phase, the autoencoder on ImageNet, is not trained here: its weights are a file.
    6. An image's score is the largest value of its map. anomalib has one of its own, from the map
       before the last network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..api import Images, Maps, Method
from ..assets import local_weights, no_weights
from ..library import anomalib, raw_maps, train
from ..ops import fill_missing, seeded

KNOWN = "vq_model_pretrained_128_4096"  # the name of anomalib's file, .pckl there
TINY = dict(embedding_dim=8, num_embeddings=40, num_hiddens=8, num_residual_layers=1)


def dsr(weights: str, strength: float) -> nn.Module:
    """anomalib's networks; the autoencoder with weights from a file, else its own download.

    Raises:
        FileNotFoundError: its weights are nowhere; names the two places and the fix.
        ValueError: the file at hand holds something else.
    """
    model = anomalib("models.image.dsr.torch_model").DsrModel
    if weights == "tiny":  # random, for tests: asked for by name, never a fallback
        return model(strength, num_residual_hiddens=4, **TINY)
    if not (path := local_weights(weights)):
        path = _downloaded(weights)
    net = model(strength)
    try:
        net.load_pretrained_discrete_model_weights(path, "cpu")
    except Exception as error:  # cut off, no weights at all, of another network: many types
        raise ValueError(f"{path} does not hold DSR's autoencoder: replace it") from error
    return net


def _downloaded(weights: str) -> Path:
    what = "DSR's autoencoder"
    if weights != KNOWN:
        raise no_weights(what, weights, "and anomalib knows no such file")
    try:
        return anomalib("models.image.dsr.lightning_model").Dsr.prepare_pretrained_model()
    except Exception as error:  # no network, no place to write: many types
        reason = f"and anomalib could not download it ({type(error).__name__})"
        raise no_weights(what, weights, reason) from error


class FocalLoss(nn.Module):
    """-(1 - p)^2 log p, p being the probability given to what is there; a mean over pixels."""

    def forward(
        self, probabilities: Float[Tensor, "n 2 h w"], truth: Int[Tensor, "n h w"]
    ) -> Float[Tensor, ""]:
        p = torch.where(truth.bool(), probabilities[:, 1], probabilities[:, 0])
        return -((1 - p).square() * p.clamp(min=1e-5).log()).mean()


# Second phase: defects in the quantised space, and all networks but the last
def restore(net: Any, images: Images, settings: "DSR") -> list[float]:
    masks = anomalib("models.image.dsr.anomaly_generator").DsrAnomalyGenerator()
    measure = anomalib("models.image.dsr.loss").DsrSecondStageLoss()
    measure.focal_loss = FocalLoss()

    def loss(x: Images) -> Tensor:
        found = net(x, masks.augment_batch(x))
        return measure(
            found["recon_feat_hi"],
            found["recon_feat_lo"],
            found["embedding_bot"],
            found["embedding_top"],
            x,
            found["obj_spec_image"],
            found["anomaly_map"],
            found["true_anomaly_map"],
        )

    last = set(net.upsampling_module.parameters())
    learned = [p for p in net.parameters() if p.requires_grad and p not in last]
    adam = torch.optim.Adam(learned, settings.lr)
    fall = torch.optim.lr_scheduler.MultiStepLR(adam, [int(0.8 * settings.epochs)])
    return train(loss, adam, images, settings.epochs, settings.batch, fall)


# Third phase: defects in the image, and the network that refines maps
def refine(net: Any, images: Images, settings: "DSR") -> list[float]:
    defects = anomalib("data.utils.generators.perlin").PerlinAnomalyGenerator()
    measure = anomalib("models.image.dsr.loss").DsrThirdStageLoss()
    measure.focal_loss = FocalLoss()

    def loss(x: Images) -> Tensor:
        damaged, masks = defects(x)
        return measure(net(damaged)["anomaly_map"], masks)

    adam = torch.optim.Adam(net.upsampling_module.parameters(), settings.lr)
    return train(loss, adam, images, settings.refining, settings.batch)


@dataclass(kw_only=True)
class DSR(Method):
    weights: str = KNOWN
    size: int = 256  # code: side in pixels that images are brought to
    strength: float = 0.2  # code: the least share of the codebook that a defect is drawn from
    epochs: int = 100  # code, and all below
    refining: int = 50  # epochs of the third phase
    batch: int = 8
    lr: float = 2e-4

    def __post_init__(self) -> None:
        if self.size < 64 or self.size % 32:
            raise ValueError(f"size is a multiple of 32 from 64 on, not {self.size}")

    def fit(self, images: Images) -> "DSR":
        """Trains both phases; `losses_` holds the mean loss of each epoch, one after the other."""
        x = self._resized(images)
        with seeded(self.seed):
            net: Any = dsr(self.weights, self.strength).to(images.device).train()
            self.losses_ = restore(net, x, self) + refine(net, x, self)
        self.net_ = net
        return self

    def anomaly_map(self, images: Images) -> Maps:
        maps = raw_maps(self.net_, self._resized(images))[:, None]
        return F.interpolate(maps, images.shape[-2:], mode="bilinear")[:, 0]

    def _resized(self, images: Images) -> Float[Tensor, "n 3 _h _w"]:
        size = (self.size, self.size)
        return F.interpolate(fill_missing(images), size, mode="bilinear", antialias=True)
