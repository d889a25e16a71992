"""What several processes do together: all-reduce, all-gather, broadcast, and what is said when one of them is lost.

On a CPU a process that waits for others looks for signals meanwhile, so that Ctrl-C reaches it; on a GPU it does not
wait here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from facegan.errors import UserError

_LOOK = 1e-4
"""Seconds between two looks at a collective that is under way."""


class LostProcessError(UserError):
    """Another process of the training ended, or did not answer in time."""

    exit_code = 1


def process_count() -> int:
    """Return how many processes work together; 1 where there is only this one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_reduce_sum(tensor: Tensor, group: Any = None) -> Tensor:
    """Return the sum of a tensor over all processes.

    Raises:
        LostProcessError: another process is gone, or did not answer in time.
    """
    if process_count() == 1:
        return tensor
    summed = tensor.clone()
    all_reduce_sum_async(summed, group).finish()
    return summed


@dataclass(frozen=True)
class Pending:
    """A collective that is under way."""

    work: Any
    on_gpu: bool

    def finish(self) -> None:
        """Wait until it is done; on a GPU the waiting is the GPU's."""
        while not self.on_gpu and not self.work.is_completed():
            time.sleep(_LOOK)
        _heeding(self.work.wait)


def all_reduce_sum_async(tensor: Tensor, group: Any = None) -> Pending:
    """Begin to replace a tensor by its sum over all processes; ``finish`` what this returns before the sum is used."""
    return Pending(_heeding(lambda: dist.all_reduce(tensor, group=group, async_op=True)), tensor.is_cuda)


def all_gather(tensor: Tensor) -> Tensor:
    """Return [P, ...]: the same tensor of all P processes, in the order of their ranks."""
    rows = [torch.empty_like(tensor) for _ in range(process_count())]
    Pending(_heeding(lambda: dist.all_gather(rows, tensor.contiguous(), async_op=True)), tensor.is_cuda).finish()
    return torch.stack(rows)


def broadcast_(tensor: Tensor, group: Any = None) -> None:
    """Overwrite a tensor with that of process 0."""
    Pending(_heeding(lambda: dist.broadcast(tensor, 0, group=group, async_op=True)), tensor.is_cuda).finish()


def _heeding(call: Callable[[], Any]) -> Any:
    """Return what a call returns; what it says of a lost process is raised as ``LostProcessError``."""
    try:
        return call()
    except RuntimeError as error:
        raise LostProcessError(brief_reason(error)) from error


def brief_reason(error: BaseException) -> str:
    """Return in a few words what a library says about the connection to another process."""
    text = " ".join(str(error).split())
    if re.search(r"timed? ?out|deadline", text, re.IGNORECASE):
        return "it did not answer in time"
    if found := re.search(r"peer \[(?:::ffff:)?([^\]]+)\]:\d+", text):
        return f"the connection to {found[1]} broke off"
    if re.search(r"closed by peer|reset by peer|broken pipe|refused|not connected", text, re.IGNORECASE):
        return "its connection broke off"
    return re.sub(r"^\[[^\]]*\] *", "", text)[:160]


class _Gathered(torch.autograd.Function):
    """Rows of all processes, whose gradients are summed over processes and go back to where the rows came from."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return all_gather(x)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return all_reduce_sum(gradients[0])[dist.get_rank()]


def differentiable_all_gather(x: Tensor) -> Tensor:
    """Return [P, ...], as ``all_gather``; a loss of any process has its gradient in every process's ``x``."""
    rows: Tensor = _Gathered.apply(x)
    return rows
