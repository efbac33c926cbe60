"""STFPM: where a student of the same shape has not learned what its trained teacher sees.

References:
    | Student-Teacher Feature Pyramid Matching for Anomaly Detection (Wang et al., 2021), whose
      text was not at hand: "code" is the authors', gdwang08/STFPM@3bc63bb
    | Loss and maps are anomalib's (2.7); setting of the comparison: Subspace (Hotta et al., 2025)

Choices and departures:
    1. WideResNet50, as Subspace compares; the code has ResNet18.
    2. The last epoch counts, after all training images. The code holds out a fifth of them and
       keeps the epoch with the smallest map there.
    3. A step's loss is the mean over its images, at the scale of the code: twice anomalib's, over
       the number of images. anomalib sums (`summed`), so its rate of 0.4 is 16 times as large for
       32 images. Its weight decay is 1e-3, the code's 1e-4.
    4. Maps have the size of the images; those of the code 64 x 64 pixels, enlarged afterwards.
    5. Students start as timm draws them, as in anomalib; the code draws them by torchvision.
"""

from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..api import Images, Maps, Method
from ..library import Pyramid, anomalib, raw_maps, train
from ..ops import seeded


class NamedPyramid(Pyramid):
    """As anomalib's model asks for it: a map by the name of its level."""

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> dict[int, Float[Tensor, "n _c _h _w"]]:
        return dict(zip(self.levels, super().forward(images), strict=True))


def stfpm(backbone: str, levels: tuple[int, ...]) -> nn.Module:
    """anomalib's model around our teacher and student: the call that builds its own gives ours."""
    torch_model = anomalib("models.image.stfpm.torch_model")

    def ours(pre_trained: bool, **_: Any) -> Pyramid:
        return NamedPyramid(backbone, levels, trained=pre_trained)

    with mock.patch.object(torch_model, "TimmFeatureExtractor", ours):
        return torch_model.STFPMModel(layers=levels, backbone=backbone)


@dataclass(kw_only=True)
class STFPM(Method):
    backbone: str = "wide_resnet50_2"
    levels: tuple[int, ...] = (1, 2, 3)
    epochs: int = 100  # code, and all below
    batch: int = 32
    lr: float = 0.4
    momentum: float = 0.9
    weight_decay: float = 1e-4
    summed: bool = False  # anomalib's loss as it is, over the images of a batch

    def fit(self, images: Images) -> "STFPM":
        """Trains the student; `losses_` holds the mean loss of each epoch."""
        with seeded(self.seed):
            self.net_: Any = stfpm(self.backbone, self.levels).to(images.device).train()
            measure = anomalib("models.image.stfpm.loss").STFPMLoss()

            def loss(x: Images) -> Tensor:
                total = measure(*self.net_(x))
                return total if self.summed else 2 * total / len(x)

            weights, decay = self.net_.student_model.parameters(), self.weight_decay
            sgd = torch.optim.SGD(weights, self.lr, self.momentum, weight_decay=decay)
            self.losses_ = train(loss, sgd, images, self.epochs, self.batch)
        return self

    def anomaly_map(self, images: Images) -> Maps:
        return raw_maps(self.net_, images)
