"""The plain PyTorch DCGAN example, trained for some minutes on the faces that ``facegan train`` would see.

    python pytorch_dcgan.py data/celeba64 --minutes 25 --faces faces.npy --count 10000
    python pytorch_dcgan.py data/celeba64 --minutes 0.5 --faces faces.npy --count 1000 --device cuda

Networks, first weights, losses, optimisers and batch (128) as in PyTorch's tutorial and examples; its images are made
as there, by the generator in training mode. Prints the images seen and the images a second.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from pytorch_side import networks
from torch import nn

from facegan.data.packed import DataView, PackedDataset

BATCH = 128


def first_weights(module: nn.Module) -> None:
    """Fill a layer as the example does."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--faces", type=Path, required=True, help="write faces here, uint8 [N, 64, 64, 3]")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=BATCH)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    view, chance = DataView([PackedDataset.open(path) for path in arguments.data]), np.random.default_rng(0)
    device, batch = torch.device(arguments.device), arguments.batch
    G, D = (network.to(device) for network in networks())
    G.apply(first_weights), D.apply(first_weights)
    criterion = nn.BCELoss()
    D_optimizer = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    G_optimizer = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
    ones, zeros = torch.ones(batch, device=device), torch.zeros(batch, device=device)
    started, seen = time.monotonic(), 0
    order = np.empty(0, np.int64)
    while time.monotonic() - started < arguments.minutes * 60:
        if len(order) < batch:
            order = chance.permutation(len(view))
        image_NHWC, order = view.images(order[:batch]), order[batch:]
        real = torch.from_numpy(image_NHWC).to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()
        D.zero_grad()
        criterion(D(real).view(-1), ones).backward()
        fake = G(torch.randn(batch, 100, 1, 1, device=device))
        criterion(D(fake.detach()).view(-1), zeros).backward()
        D_optimizer.step()
        G.zero_grad()
        criterion(D(fake).view(-1), ones).backward()
        G_optimizer.step()
        seen += batch
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    print(f"{seen:,} images, {seen / (time.monotonic() - started):.1f} images/s", flush=True)
    faces = []
    with torch.no_grad():
        for _ in range(0, arguments.count, batch):
            image = G(torch.randn(batch, 100, 1, 1, device=device)).permute(0, 2, 3, 1)
            faces.append(((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy())
    np.save(arguments.faces, np.concatenate(faces)[: arguments.count])


if __name__ == "__main__":
    main()
