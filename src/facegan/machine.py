"""What this machine is, and what it does best."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegan.cores import usable_cores


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory in GiB, accelerator, and versions."""
    return {
        "processor": _processor_name(),
        "cores": usable_cores(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def onto(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Return an array, or a tensor in the processor's memory, as a tensor on a device.

    A GPU gets it from pinned memory, so that the processor does not wait until all work before it is done.
    """
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type != "cuda":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Let the C library keep large freed blocks for the next step, instead of giving them back to the system.

    Fresh memory costs a page fault for every 4 KiB, and a training step frees and takes gigabytes. Returns whether it
    could be done: glibc only, elsewhere nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    largest = 2**31 - 1
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, largest) and libc.mallopt(_M_TRIM_THRESHOLD, largest))
