"""Where a run computes: device and processes. Lightning Fabric launches, places and reduces."""

from __future__ import annotations

from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from facegan.cores import usable_cores
from facegan.errors import UserError

T = TypeVar("T")


class Engine:
    """One process's view of the machine: its device, its rank among ``world_size``, and the collective sums."""

    def __init__(self, *, accelerator: str = "auto", devices: int | None = None) -> None:
        if accelerator not in ("auto", "cpu", "cuda"):
            raise UserError(f"--accelerator {accelerator}: choose auto, cpu or cuda")
        if accelerator == "cuda" and not torch.cuda.is_available():
            raise UserError("--accelerator cuda: no CUDA device is usable here; leave the flag out to train on the CPU")
        if accelerator == "auto":
            accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        if accelerator == "cpu" and (devices or 1) > max(8, usable_cores()):
            raise UserError(f"--devices {devices}: this machine has {usable_cores()} cores; leave the flag out")
        count = devices or (torch.cuda.device_count() if accelerator == "cuda" else 1)
        strategy = "ddp" if count > 1 else "auto"
        self.fabric = Fabric(accelerator=accelerator, devices=count, strategy=strategy)
        self.fabric.launch()
        self.device: torch.device = self.fabric.device
        self.rank: int = self.fabric.global_rank
        self.world_size: int = self.fabric.world_size

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.world_size == 1:
            return tensor
        total = self.fabric.all_reduce(tensor.clone(), reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        return self.sum(tensor) / self.world_size

    def any(self, mine: bool) -> bool:
        """Return whether it is so in any process; every process gets the same answer."""
        if self.world_size == 1:
            return mine
        return bool(self.sum(torch.tensor(float(mine), device=self.device)).item() > 0)

    def from_main(self, value: T) -> T:
        """Return the main process's value in every process."""
        return value if self.world_size == 1 else self.fabric.broadcast(value)

    def barrier(self) -> None:
        """Wait for every process."""
        self.fabric.barrier()
