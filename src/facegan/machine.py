"""What this machine is, and what it does best."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

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


def fastest_precision(device: torch.device) -> tuple[str, dict[str, float]]:
    """Return "float32" or "bfloat16", whichever runs a typical convolution, forward and backward, faster here.

    Also returns the seconds of each. bfloat16 must win by a quarter, because casts around it cost something too.
    """
    seconds = {name: _convolution_seconds(dtype, device) for name, dtype in PRECISIONS.items()}
    return ("bfloat16" if seconds["bfloat16"] * 1.25 < seconds["float32"] else "float32"), seconds


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def _convolution_seconds(dtype: torch.dtype, device: torch.device) -> float:
    x = torch.ones(16, 64, 32, 32, dtype=dtype, device=device).to(memory_format=torch.channels_last).requires_grad_()
    weight = (
        torch.ones(128, 64, 5, 5, dtype=dtype, device=device).to(memory_format=torch.channels_last).requires_grad_()
    )
    best = float("inf")
    for _ in range(4):
        started = time.perf_counter()
        F.conv2d(x, weight, stride=2, padding=2).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best
