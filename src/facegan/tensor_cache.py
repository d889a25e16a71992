"""Tensors that take long to compute, kept in the user's cache (``facegan.files.cache_folder``)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegan.files import replaced


def cached_tensors(file: Path, expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> dict[str, Tensor] | None:
    """Return the tensors in a file of the cache; None if they are not those that are expected, or not finite."""
    try:
        found = load_file(file)
    except (OSError, ValueError, SafetensorError):
        return None
    whole = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in found.items()} == expected
    return found if whole and all(bool(torch.isfinite(tensor).all()) for tensor in found.values()) else None


def keep_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors into the cache; where that cannot be done, they are made anew the next time."""
    keep(file, lambda partial: save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial))


def keep(file: Path, write: Callable[[Path], object]) -> None:
    """Write something into the cache, by ``write``; where that cannot be done, it is made anew the next time."""
    with contextlib.suppress(OSError, SafetensorError), replaced(file) as partial:
        write(partial)
