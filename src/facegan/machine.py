"""What this machine is, and what it does best."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facegan.cores import usable_cores
from facegan.errors import UserError


def describe_machine(accelerator: str = "auto") -> dict[str, Any]:
    """Return processor and its vector instructions, cores, accelerator, and versions.

    ``accelerator`` cpu: of a training that leaves the GPU alone.
    """
    has_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return {
        "processor": _processor_line("model name") or platform.processor() or platform.machine(),
        "instructions": sorted(_INSTRUCTIONS & set((_processor_line("flags") or "").split())),
        "cores": usable_cores(),
        "accelerator": torch.cuda.get_device_name() if has_gpu else None,
        "cuda": torch.version.cuda if has_gpu else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(),
    }


_INSTRUCTIONS = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
"""Names in /proc/cpuinfo of what decides which precision and which algorithms are fast."""
_BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16"}


def lacks_bfloat16() -> bool:
    """Return whether this processor is known to have no units for bfloat16, in which it is many times slower then."""
    flags = (_processor_line("flags") or "").split()
    return "avx2" in flags and not _BFLOAT16_UNITS & set(flags)


def _processor_line(name: str) -> str | None:
    """Return what the system says under a name of its first core, or None."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)


def other_machine(
    before: Mapping[str, Any], now: Mapping[str, Any], *, threads: int, precision: str = "float32"
) -> str | None:
    """Return in words how a machine differs from the one that a run's choices were measured on, or None.

    ``before`` and ``now`` are of ``describe_machine``; ``before`` may be of version 0.1.0, which knew no instructions:
    it differs if the run has the ``precision`` bfloat16 and this processor is known to have no units for it. A machine
    with fewer cores than the run has ``threads`` differs too.
    """
    for name, text in (("accelerator", "another accelerator"), ("processor", "another processor")):
        if name in before and before[name] != now[name]:
            return f"{text}: {before[name] or 'none'} then, {now[name] or 'none'} now"
    old, new = (machine.get("instructions") for machine in (before, now))
    if old is not None and old != new:
        return (
            f"a processor with other instructions: {' '.join(old) or 'none'} then, {' '.join(new or ()) or 'none'} now"
        )
    if old is None and new and precision == "bfloat16" and not _BFLOAT16_UNITS & set(new):
        return f"a processor without bfloat16 units ({' '.join(new)}), and the run computes in bfloat16"
    if now["cores"] < min(threads, before.get("cores", threads)):  # it may have been asked for more than there are
        return f"fewer cores: {threads} threads then, {now['cores']} cores now"
    return None


def inference_device(name: str) -> torch.device:
    """Return the device that ``--device`` names: auto (a GPU if there is one), cpu, cuda, cuda:1 ...

    A GPU then computes float32 as such, not with the ten bits that its library takes for convolutions by itself, so
    that faces and scores are those of a processor but for rounding.

    Raises:
        UserError: it is no such name, or there is no such GPU here.
    """
    kind, _, number = name.partition(":")
    if name == "mps" and torch.backends.mps.is_available():
        return torch.device("mps")
    if name == "mps":
        raise UserError("--device mps: this machine has no Apple GPU that torch can use; leave --device out")
    if kind not in ("auto", "cpu", "cuda") or (":" in name and not (kind == "cuda" and number.isdecimal())):
        raise UserError(f"--device {name}: choose auto, cpu, cuda, mps or, of several GPUs, cuda:0, cuda:1 ...")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and not there:
        why = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise UserError(f"--device {name}: no CUDA device is usable here ({why}); leave --device out, or choose cpu")
    if int(number or 0) >= max(1, there):
        raise UserError(f"--device {name}: there are {there} GPUs here, cuda:0 to cuda:{there - 1}")
    if kind == "cpu" or not there:
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", int(number or 0))


def device_of(module: nn.Module) -> torch.device:
    """Return the device that a module's parameters, or else its buffers, are on."""
    return next(itertools.chain(module.parameters(), module.buffers())).device


def to_device(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Return an array, or a tensor in the processor's memory, as a tensor on a device.

    A GPU gets it from pinned memory, so that the processor does not wait until all work before it is done.
    """
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type != "cuda":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all that it was asked to, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gpu_memory(device: torch.device) -> dict[str, float]:
    """Return {"gpu_gib": the most memory that this process has held on a GPU at once}, or nothing on a CPU."""
    return {"gpu_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 3)} if device.type == "cuda" else {}


def use_fast_kernels(precision: str) -> None:
    """Let a GPU's libraries try several algorithms for each convolution and keep the fastest, and where a run computes
    in bfloat16, let what is left in float32 have the ten bits of TF32 in matrix products too."""
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high" if precision == "bfloat16" else "highest")


def use_deterministic_kernels() -> None:
    """Let a GPU's libraries take only algorithms that give the same bytes every time; must come before the first work
    on a GPU. An operation that has none says so with a warning."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def fast_16bit_precision(device: torch.device) -> str:
    """Return what a device computes in 16 bits with: bfloat16, or float16 on an NVIDIA card before Ampere."""
    if device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"
    return "float16"


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
