"""GPUs, and whether this torch can use them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facegan.doctor.finding import Finding

TOPIC = "accelerators"
_LITTLE = 4 << 30
_INSTALL = "choose the build for your driver at pytorch.org/get-started, then pip install torch from there"


@dataclass(frozen=True)
class Hardware:
    """What the system has, whatever torch says."""

    nvidia: bool
    amd: bool
    driver: str
    """Version of NVIDIA's driver; "" if there is none."""


def hardware(root: Path = Path("/")) -> Hardware:
    """Return what the system shows of GPUs. ``root``: where /dev and /proc are."""
    try:
        version = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        version = ""
    found = re.search(r"Module\s+(?:for \S+\s+)?(\d+(?:\.\d+)+)", version)
    devices = root / "dev"
    nvidia = bool(version) or any(re.fullmatch(r"nvidia\d+", path.name) for path in devices.glob("nvidia*"))
    return Hardware(nvidia, (devices / "kfd").exists(), found[1] if found else "")


def examine() -> list[Finding]:
    """Return what is to be said of GPUs."""
    found = hardware()
    if torch.cuda.is_available():
        return [_gpu(number) for number in range(torch.cuda.device_count())]
    return [unusable(found, torch.__version__, torch.version.cuda, torch.version.hip), *_others()]


def unusable(found: Hardware, version: str, cuda: str | None, hip: str | None) -> Finding:
    """Return why torch uses no GPU. ``cuda``, ``hip``: what torch was built for, or None."""
    facts = {"nvidia": found.nvidia, "amd": found.amd, "driver": found.driver, "cuda": cuda, "hip": hip}
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if found.nvidia and hidden is not None and hidden.strip() in ("", "-1"):
        sentence = f"an NVIDIA GPU is there, and CUDA_VISIBLE_DEVICES={hidden!r} hides it"
        return Finding("warning", TOPIC, sentence, "unset CUDA_VISIBLE_DEVICES", facts)
    if found.nvidia and cuda is None:
        sentence = f"an NVIDIA GPU is there, and torch {version} is a build without CUDA: everything runs on the CPU"
        return Finding("fault", TOPIC, sentence, _INSTALL, facts)
    if found.nvidia:
        driver = f"driver {found.driver}" if found.driver else "no driver that answers"
        sentence = f"an NVIDIA GPU is there with {driver}, and torch {version} for CUDA {cuda} cannot use it"
        cure = f"run nvidia-smi: it names the newest CUDA of the driver. Update the driver to one for CUDA {cuda}, or "
        return Finding("fault", TOPIC, sentence, cure + _INSTALL, facts)
    if found.amd and hip is None:
        sentence = f"an AMD GPU is there, and torch {version} is a build without ROCm: everything runs on the CPU"
        return Finding("warning", TOPIC, sentence, _INSTALL, facts)
    return Finding("ok", TOPIC, "no CUDA device; trainings run on the CPU", facts=facts)


def _others() -> list[Finding]:
    if torch.backends.mps.is_available():
        return [
            Finding("note", TOPIC, "Apple's GPU (MPS) is there; facegan trains on the CPU or with CUDA, not with it")
        ]
    return []


def _gpu(number: int) -> Finding:
    properties = torch.cuda.get_device_properties(number)
    free, total = torch.cuda.mem_get_info(number)
    major, minor = properties.major, properties.minor
    facts: dict[str, Any] = {
        "name": properties.name, "capability": f"{major}.{minor}", "free": free, "total": total,
        "cuda": torch.version.cuda, "driver": hardware().driver, "bfloat16": major >= 8, "float16": major >= 7,
    }  # fmt: skip
    units = [name for name in ("bfloat16", "float16") if facts[name]]
    said = (
        f"cuda:{number} {properties.name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, units for "
        f"{' and '.join(units) if units else 'float32 only'}; torch for CUDA {torch.version.cuda}"
        + (f", driver {facts['driver']}" if facts["driver"] else "")
    )
    if free < min(_LITTLE, total / 2):
        cure = "see with nvidia-smi what holds its memory, or choose another one with CUDA_VISIBLE_DEVICES=NUMBER"
        return Finding("warning", TOPIC, f"{said}: other work holds most of its memory", cure, facts)
    return Finding("ok", TOPIC, said, facts=facts)
