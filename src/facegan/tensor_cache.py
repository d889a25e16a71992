"""Tensors that take long to compute, kept in the user's cache (``facegan.files.cache_folder``)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegan.files import replaced

_DIGEST = "sha256"


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of all names and values."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(name.encode())
        hashed.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def cached_tensors(file: Path, expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> dict[str, Tensor] | None:
    """Return the tensors in a file of the cache; None if they are not those that are expected, or not finite, or were
    changed since they were kept."""
    try:
        found = load_file(file)
        with safe_open(file, "pt") as opened:
            kept = (opened.metadata() or {}).get(_DIGEST)
    except (OSError, ValueError, SafetensorError):
        return None
    if kept not in (None, _digest(found)):  # files of 0.3.0 and before have none
        return None
    whole = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()} == expected
    return found if whole and all(bool(torch.isfinite(tensor).all()) for tensor in found.values()) else None


def keep_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors into the cache; where that cannot be done, they are made anew the next time."""
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    keep(file, lambda partial: save_file(whole, partial, {_DIGEST: _digest(whole)}))


def keep(file: Path, write: Callable[[Path], object]) -> None:
    """Write something into the cache, by ``write``; where that cannot be done, it is made anew the next time."""
    with contextlib.suppress(OSError, SafetensorError), replaced(file) as partial:
        write(partial)
