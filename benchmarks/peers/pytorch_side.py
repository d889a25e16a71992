"""The plain PyTorch side of a benchmark: the DCGAN tutorial's networks and loop, in float32 as they come.

    python pytorch_side.py train 64 --batch 64
    python pytorch_side.py sample 64 --batch 256

Reads a number of steps a line from standard input and answers with the seconds they took.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import nn


def networks() -> tuple[nn.Module, nn.Module]:
    """Return G and D at 64 px, width 64, NCHW."""
    G_layers: list[nn.Module] = []
    D_layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for inputs, outputs, stride, padding in ((100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1)):
        G_layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs)]
        G_layers.append(nn.ReLU(inplace=True))
    for inputs in (64, 128, 256):
        D_layers += [nn.Conv2d(inputs, 2 * inputs, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * inputs)]
        D_layers.append(nn.LeakyReLU(0.2, inplace=True))
    G_layers += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    D_layers += [nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*G_layers), nn.Sequential(*D_layers)


def training(batch: int) -> Callable[[int], None]:
    """Return a function of the number of steps. One batch of fakes serves D's step and G's, as in the tutorial."""
    G, D = networks()
    criterion = nn.BCELoss()
    D_optimizer = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    G_optimizer = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
    real = torch.rand(batch, 3, 64, 64) * 2 - 1
    ones, zeros = torch.ones(batch), torch.zeros(batch)

    def run(count: int) -> None:
        for _ in range(count):
            D.zero_grad()
            criterion(D(real).view(-1), ones).backward()
            fake = G(torch.randn(batch, 100, 1, 1))
            criterion(D(fake.detach()).view(-1), zeros).backward()
            D_optimizer.step()
            G.zero_grad()
            loss = criterion(D(fake).view(-1), ones)
            loss.backward()
            G_optimizer.step()
            loss.item()

    return run


def sampling(batch: int) -> Callable[[int], None]:
    """Return a function of the number of batches to make without gradients."""
    G = networks()[0].eval()
    latents = torch.randn(batch, 100, 1, 1)

    def run(count: int) -> None:
        with torch.no_grad():
            for _ in range(count):
                G(latents)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "sample"])
    parser.add_argument("resolution", type=int, choices=[64])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    run = (training if arguments.what == "train" else sampling)(arguments.batch)
    run(2)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        run(int(line))
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
