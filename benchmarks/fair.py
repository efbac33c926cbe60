"""What a training step of FAIR costs, and the batch it is made on; by hand.

    python benchmarks/fair.py [--width 32] [--size 256] [--threads 2] [--device cuda]

Prints the seconds of a step, of making its batch (which must stay below a tenth of the step), and
of the step without each of the measures that make it fast: layout, losses read late, autocast.
Then what the faster layout and Adam change in a training on the same batches: how far the first
gradient is from that in double precision, and where the losses end.
"""

import argparse

import torch
import torch.nn.functional as F

from anomlib.corruptions import to_textures
from anomlib.methods.fair import FAIR, UNet, loss
from anomlib.ops import seeded
from anomlib.studies.fair_measured import training_cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = training_cost(options.width, options.size, options.device, least=10.0)
    step = table.set_index("what").loc["step", "seconds"]
    print(table.assign(ratio=table["seconds"] / step).to_string(index=False))
    exact, _ = trained(options.device, torch.contiguous_format, False, torch.float64, steps=1)
    forms = {"plain": (torch.contiguous_format, False), "fast": (torch.channels_last, True)}
    for name, (layout, fused) in forms.items():
        gradient, losses = trained(options.device, layout, fused, torch.float32, steps=200)
        error = (gradient - exact).norm() / exact.norm()
        print(
            f"{name}: first gradient {error:.1e} from that in double precision (relative), ",
            end="",
        )
        print(f"first loss {losses[0]:.6f}, mean of the last 50 of 200 {losses[-50:].mean():.4f}")


def trained(
    device: str, layout: torch.memory_format, fused: bool, dtype: torch.dtype, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first gradient of a small network and its losses, on batches the same for every form."""
    method = FAIR(width=8, textures="train", lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    images = F.avg_pool2d(torch.rand(16, 3, 256, 256, generator=generator), 4).to(device)
    with seeded(0):
        net = UNet(1, method.width).to(device, dtype).to(memory_format=layout)
    adam = torch.optim.Adam(net.parameters(), method.lr, fused=fused)
    losses, gradient = [], torch.zeros(0)
    for step in range(steps):
        clean, damaged, _ = method.draw(images, to_textures(images), generator)
        value = loss(clean.to(dtype), net(method.highpass(damaged).to(dtype)))
        adam.zero_grad()
        value.backward()
        if step == 0:
            parts = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
            gradient = torch.cat(parts).double()
        adam.step()
        losses.append(value.detach())
    return gradient, torch.stack(losses)


if __name__ == "__main__":
    main()
