"""WinCLIP: a vision-language model is asked of every window whether it shows a damaged object.

References:
    | WinCLIP: Zero-/Few-Shot Anomaly Classification and Segmentation (Jeong et al., 2023)
    | Prompts, windows and scores are anomalib's, before it normalises them; networks open_clip's

Departures:
    1. Zero-shot only, which is what SSDnet compares with: `fit` looks at no image.
    2. SSDnet does not print the name in the prompts. WinCLIP's prompts name the object: MVTec's
       category in words (`published`), and anomalib's "object" where nobody has said it.
    3. SSDnet says that CLIP learned on OpenAI's own images. WinCLIP, and anomalib, take a network
       trained on LAION-400M, which is the default here.
    4. The temperature is anomalib's 0.07; another implementation, caoyunkang/WinClip, has 0.01.
    5. An image's score is the largest value of its map, not the score of the image as a whole.
"""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms.functional import normalize

from ..api import Images, Maps, Method
from ..assets import local_weights, no_weights
from ..library import EXTRA
from ..ops import fill_missing, seeded

MEAN = [0.48145466, 0.4578275, 0.40821073]  # of CLIP's images, as in anomalib's pre-processor
STD = [0.26862954, 0.26130258, 0.27577711]
CHUNK = 8  # images at once: each has hundreds of windows, and each window is a forward pass
MVTEC = """bottle cable capsule carpet grid hazelnut leather metal_nut pill screw tile toothbrush
transistor wood zipper""".split()


def load_clip(name: str) -> nn.Module:
    """open_clip's `<network>-<weights>`: from `<root>/weights/<name>.pth`, else downloaded.

    Raises:
        ImportError: the extra is not installed, or an open_clip that anomalib cannot use.
        FileNotFoundError: its weights are nowhere; names the two places and the fix.
        ValueError: the file at hand holds something else.
    """
    try:  # pyright runs where the extra is not installed
        import anomalib  # type: ignore[import-not-found]  # noqa: F401
        import open_clip  # type: ignore[import-not-found]
    except ImportError as error:
        raise ImportError(f"WinCLIP needs {EXTRA} ({error})") from error
    known = {f"{net}-{weights}": (net, weights) for net, weights in open_clip.list_pretrained()}
    network, weights = known.get(name, ("", ""))
    with seeded(0):  # a network is random until its weights come
        if name == "tiny":  # for tests: asked for by name, never a fallback
            vision = dict(image_size=40, patch_size=8, width=32, head_width=16, layers=1)
            clip = open_clip.CLIP(16, vision, {"width": 16, "heads": 2, "layers": 1})
        elif weights and (path := local_weights(name)):
            # OpenAI's weights want an activation of their own, which a file does not tell
            clip = open_clip.create_model(network, force_quick_gelu=weights == "openai")
            _copy_weights(clip, path)
        else:
            clip = _downloaded(open_clip, name, network, weights)
    if getattr(clip.transformer, "batch_first", False):  # it would give constant maps
        raise ImportError(f"anomalib misreads open_clip 2.26.1 and later; WinCLIP needs {EXTRA}")
    return clip.eval().requires_grad_(False)


def _copy_weights(clip: nn.Module, path: Path) -> None:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        tensors = checkpoint.get("state_dict", checkpoint)
        clip.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items()})
    except Exception as error:  # cut off, no weights at all, of another network: many types
        raise ValueError(f"{path} does not hold the weights of its name: replace it") from error


def _downloaded(open_clip: Any, name: str, network: str, weights: str) -> nn.Module:
    try:
        return open_clip.create_model(network, weights)
    except Exception as error:  # no network, no such model, no such weights: many types
        reason = "could not download it" if weights else "knows no such model"
        reason = f"and open_clip {reason} ({type(error).__name__})"
        raise no_weights(repr(name), name, reason) from error


def winclip(clip: nn.Module, settings: "WinCLIP") -> nn.Module:
    """anomalib's model around a network at hand: the call by which it loads its own gives ours."""
    from anomalib.models.image.winclip import torch_model  # type: ignore[import-not-found]

    ours = SimpleNamespace(create_model_and_transforms=lambda *_, **__: (clip, None, None))
    with mock.patch.object(torch_model, "open_clip", ours):
        model = torch_model.WinClipModel(settings.class_name, scales=settings.scales)
    model.temperature = settings.temperature
    return model


@dataclass(kw_only=True)
class WinCLIP(Method):
    backbone: str = "ViT-B-16-plus-240-laion400m_e31"  # anomalib's network and weights
    class_name: str = "object"  # what the prompts call it: "a photo of a damaged object"
    scales: tuple[int, ...] = (2, 3)  # anomalib's: sides of the windows, in patches of the network
    temperature: float = 0.07  # anomalib's: divides similarities before the softmax

    published: ClassVar[dict[str, dict[str, Any]]] = {
        f"mvtec/{category}": {"class_name": category.replace("_", " ")} for category in MVTEC
    }

    def fit(self, images: Images) -> "WinCLIP":
        """Loads the network and encodes the prompts; the images tell only where to compute."""
        self.net_ = winclip(load_clip(self.backbone).to(images.device), self).to(images.device)
        return self

    @torch.no_grad()
    def anomaly_map(self, images: Images) -> Maps:
        net: Any = self.net_.to(images.device)
        size = net.clip.visual.image_size
        x = F.interpolate(fill_missing(images), size, mode="bicubic", antialias=True)
        maps = [net(some).anomaly_map for some in normalize(x, MEAN, STD).split(CHUNK)]
        return F.interpolate(torch.cat(maps)[:, None], images.shape[-2:], mode="bilinear")[:, 0]
