"""One saved state of a run: a folder of safetensors files and ``snapshot.json``, written beside and renamed into place.

A reader sees a whole snapshot or none. Each file's sha256 stands in ``snapshot.json`` and is checked at load.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from facegan.data.partial import sync
from facegan.errors import UserError

FORMAT_VERSION = 1
INFO_FILE = "snapshot.json"
_ADVICE = "remove that snapshot's folder, and the run goes on from the one before it"


@dataclass(frozen=True)
class SnapshotInfo:
    """What ``snapshot.json`` says."""

    path: Path
    nimg: int
    """Real images shown to the discriminator so far."""
    config: dict[str, Any]
    state: dict[str, Any]
    """Whatever else the run has learnt."""
    sha256: dict[str, str]
    """Digest of each file beside ``snapshot.json``."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_snapshot(
    path: Path,
    *,
    nimg: int,
    config: Mapping[str, Any],
    state: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Write a snapshot folder at ``path``. ``tensors`` maps a file's stem ("generator") to its named tensors.

    An existing folder at ``path`` is the same state of the same run, and stays.

    Raises:
        UserError: the disk is full or cannot be written; nothing half-written stays.
    """
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        digests: dict[str, str] = {}
        for stem, named in tensors.items():
            file = partial / f"{stem}.safetensors"
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}, file)
            digests[file.name] = _sha256(file)
        info = {
            "format_version": FORMAT_VERSION,
            "nimg": nimg,
            "config": config,
            "state": dict(state),
            "sha256": digests,
        }
        (partial / INFO_FILE).write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
        for file in partial.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        sync(partial)
        partial.rename(path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"the snapshot {path} cannot be written ({error}); make room, then the same command goes on from the "
            "snapshot before it"
        ) from None


def read_info(path: Path) -> SnapshotInfo:
    """Return what ``snapshot.json`` of a snapshot folder says.

    Raises:
        UserError: there is none, it is damaged, or it was written by a newer facegan.
    """
    file = path / INFO_FILE
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        version, found = info["format_version"], SnapshotInfo(
            path, int(info["nimg"]), dict(info["config"]), dict(info["state"]), dict(info["sha256"])
        )  # fmt: skip
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is no snapshot: it holds no {INFO_FILE}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}); {_ADVICE}") from None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{file} has format version {version}, this facegan reads {FORMAT_VERSION}: use a newer facegan"
        )
    return found


def read_tensors(info: SnapshotInfo, stem: str) -> dict[str, Tensor]:
    """Return the named tensors of one file of a snapshot, on the CPU, after checking its digest.

    Raises:
        UserError: the file is missing or is not the one that was written.
    """
    file = info.path / f"{stem}.safetensors"
    if file.name not in info.sha256 or not file.is_file():
        raise UserError(f"{info.path} has no {file.name}; {_ADVICE}")
    if _sha256(file) != info.sha256[file.name]:
        raise UserError(f"{file} is not the file that was written (its sha256 differs); {_ADVICE}")
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{file} is damaged ({error}); {_ADVICE}") from None


def load_into(network: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy named tensors into a network.

    Raises:
        UserError: a tensor is missing, too many, or of another shape or type.
    """
    own = network.state_dict()
    wrong = sorted(own.keys() ^ tensors.keys()) or [
        name for name in own if own[name].shape != tensors[name].shape or own[name].dtype != tensors[name].dtype
    ]
    if wrong:
        raise UserError(f"{where} does not fit its own settings at {wrong[0]}; was it written by another program?")
    network.load_state_dict(dict(tensors))
