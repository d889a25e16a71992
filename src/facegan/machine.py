"""What this machine is, and what it does best."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from facegan.cores import usable_cores


def describe_machine() -> dict[str, Any]:
    """Return processor and its vector instructions, cores, accelerator, and versions."""
    return {
        "processor": _processor_line("model name") or platform.processor() or platform.machine(),
        "instructions": sorted(_INSTRUCTIONS & set((_processor_line("flags") or "").split())),
        "cores": usable_cores(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
    }


_INSTRUCTIONS = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
"""Names in /proc/cpuinfo of what decides which precision and which algorithms are fast."""


def _processor_line(name: str) -> str | None:
    """Return what the system says under a name of its first core, or None."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)


def other_machine(before: Mapping[str, Any], now: Mapping[str, Any], *, threads: int) -> str | None:
    """Return in words how a machine differs from the one that a run's choices were measured on, or None.

    ``before`` and ``now`` are of ``describe_machine``; ``before`` may be of version 0.1.0, which knew no instructions.
    A machine with fewer cores than the run has ``threads`` differs too.
    """
    for name, text in (("accelerator", "another accelerator"), ("processor", "another processor")):
        if name in before and before[name] != now[name]:
            return f"{text}: {before[name] or 'none'} then, {now[name] or 'none'} now"
    old, new = (machine.get("instructions") for machine in (before, now))
    if old is not None and old != new:
        return (
            f"a processor with other instructions: {' '.join(old) or 'none'} then, {' '.join(new or ()) or 'none'} now"
        )
    if now["cores"] < threads:
        return f"fewer cores: {threads} threads then, {now['cores']} cores now"
    return None


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
