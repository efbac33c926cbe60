"""FastFlow: how unlikely the features of a place are, by a flow that keeps their neighbourhood.

References:
    | FastFlow: Unsupervised Anomaly Detection and Localization via 2D Normalizing Flows (Yu et
      al., 2021), whose text was not at hand and whose authors published no code that we know of
    | Model, loss and maps are anomalib's (2.7), which follows gathierry/FastFlow@1feadbc, below
      "code": not the authors', and its README says that the paper leaves details open
    | Compared with in Subspace-Guided Feature Reconstruction (Hotta et al., 2025), which does
      not print the backbone: WideResNet50 here, as it takes for all methods

Choices and departures:
    1. 3 x 3 and 1 x 1 convolutions take turns, as the code sets it for WideResNet50; for ResNet18
       it takes 3 x 3 alone (`conv3x3_only`).
    2. Features pass a layer norm that is learned, which the code's README calls critical and says
       that the paper does not mention.
    3. The last epoch counts. anomalib's printed numbers come from early stopping by its validation
       set, which is by default the test set; the code prints the best epoch beside the last.
    4. An epoch sees all images; the code leaves out those that do not fill its last batch.
    5. Images keep their size, whose sides must be multiples of the coarsest level's stride.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import nn

from ..api import Images, Maps, Method
from ..library import Pyramid, anomalib, raw_maps, train
from ..ops import check_size, seeded


def fastflow(settings: "FastFlow", size: tuple[int, int]) -> nn.Module:
    """anomalib's model on our backbone: the call that builds one of its own gives ours.

    Raises:
        ValueError: images of this size do not divide into the positions of every level.
    """
    torch_model = anomalib("models.image.fastflow.torch_model")
    pyramid = Pyramid(settings.backbone, settings.levels)
    stride = max(pyramid.feature_info.reduction())
    if size[0] % stride or size[1] % stride:
        raise ValueError(
            f"images of {size[0]} x {size[1]} pixels, but FastFlow on {settings.backbone} needs "
            f"sides that are multiples of {stride}: load them at another size"
        )
    ours = SimpleNamespace(create_model=lambda *_, **__: pyramid)
    with mock.patch.object(torch_model, "timm", ours):
        return torch_model.FastflowModel(
            size,
            "wide_resnet50_2",  # the branch of the code that takes levels of any such network
            flow_steps=settings.steps,
            conv3x3_only=settings.conv3x3_only,
            hidden_ratio=settings.hidden_ratio,
        )


@dataclass(kw_only=True)
class FastFlow(Method):
    backbone: str = "wide_resnet50_2"
    levels: tuple[int, ...] = (1, 2, 3)
    steps: int = 8  # of the flow: code, and all below
    conv3x3_only: bool = False
    hidden_ratio: float = 1.0  # channels inside a step, over those it transforms
    epochs: int = 500
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-5

    def fit(self, images: Images) -> "FastFlow":
        """Trains the flow of every level; `losses_` holds the mean loss of each epoch."""
        height, width = self.size_ = tuple(images.shape[-2:])
        with seeded(self.seed):
            net: Any = fastflow(self, (height, width)).to(images.device).train()
            measure = anomalib("models.image.fastflow.loss").FastflowLoss()
            learned = [p for p in net.parameters() if p.requires_grad]
            adam = torch.optim.Adam(learned, self.lr, weight_decay=self.weight_decay)
            self.losses_ = train(lambda x: measure(*net(x)), adam, images, self.epochs, self.batch)
        self.net_ = net
        return self

    def anomaly_map(self, images: Images) -> Maps:
        check_size(images, self.size_)
        return raw_maps(self.net_, images)
