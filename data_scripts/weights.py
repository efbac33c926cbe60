"""Copies weights of backbones to <root>/weights after checking that each can be loaded.

    python data_scripts/weights.py [--source FOLDER] [--root data]

FOLDER holds <name>.pth, a dictionary of tensors, named as in the code: resnet50_msra_v1,
vgg19_features_to_relu2_2, wide_resnet50_2, ...
"""

import torch
from layout import arguments, place, stop


def main() -> None:
    options = arguments(__doc__ or "", "weights")
    found = sorted(options.source.glob("*.pth"))
    if not found:
        stop(f"{options.source} holds no *.pth file")
    for path in found:
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a broken archive raises half a dozen types
            stop(f"{path} cannot be loaded as a dictionary of tensors: {error}")
        partial = options.root / "weights" / f".{path.name}.partial"
        place(path, partial)
        partial.rename(options.root / "weights" / path.name)
        print(f"weights/{path.name}: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
