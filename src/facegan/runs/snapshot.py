"""One saved state of a run: a folder of safetensors files and ``snapshot.json``, written beside and renamed into place.

A reader sees a whole snapshot or none. Each file's sha256 stands in ``snapshot.json`` and is checked at load. A file
that somebody else made is refused before it costs memory: links, long headers, other shapes than the settings', NaN.

Versions: 1, the first; 2 names the layers of classic-tanh's discriminator as they are since tanh follows the pooling.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from facegan.config import RecipeConfig, RunConfig, from_dict
from facegan.errors import UserError, brief, check_not_denied
from facegan.files import check_regular, file_sha256, free_bytes, read_json, sync
from facegan.networks import build_discriminator, build_generator

FORMAT_VERSION = 2
INFO_FILE = "snapshot.json"
EXPORTED_FILE, EXPORTED_STEM = "config.json", "model"
"""Of an exported folder, as the Hugging Face hub has them: what ``snapshot.json`` says, and the generator."""
LABEL_PRIOR = "label_prior"
"""Stem of the file that says how the attributes of the training's faces go together, where they have any."""
_ADVICE = "get it again from where it came from, or use another snapshot"
_LONGEST_HEADER = 1 << 20
"""Bytes of a safetensors header; ours have some thousand, and the library would read a hundred million."""


class SnapshotDamagedError(UserError):
    """A file of a snapshot is missing, or is not what was written."""


class SnapshotWriteError(UserError):
    """A snapshot could not be written: the disk is full, or may not be written. Nothing half-written stays."""


@dataclass(frozen=True)
class SnapshotInfo:
    """What ``snapshot.json`` says."""

    path: Path
    nimg: int
    """Real images shown to the discriminator so far."""
    config: dict[str, Any]
    state: dict[str, Any]
    """The run's other state."""
    sha256: dict[str, str]
    """Digest of each file beside ``snapshot.json``."""
    version: int = FORMAT_VERSION
    """Format version in which the files were written."""

    @property
    def generator_stem(self) -> str:
        """Stem of the file with the generator that makes faces: the averaged one if there is one."""
        stems = (EXPORTED_STEM, "ema", "generator")
        return next((stem for stem in stems if f"{stem}.safetensors" in self.sha256), "generator")

    def run_config(self) -> RunConfig:
        """Return ``config``, checked.

        Raises:
            UserError: it is no config of this facegan's.
        """
        return from_dict(RunConfig, self.config, str(self.path / INFO_FILE))


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
        SnapshotWriteError: the disk is full or cannot be written; nothing half-written stays.
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
            digests[file.name] = file_sha256(file)
        info = {
            "format_version": FORMAT_VERSION,
            "nimg": nimg,
            "config": config,
            "state": dict(state),
            "sha256": digests,
        }
        (partial / INFO_FILE).write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
        for file in partial.iterdir():
            sync(file)
        sync(partial)
        partial.rename(path)
        sync(path.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not isinstance(error, (OSError, SafetensorError)):
            raise
        needed, free = snapshot_bytes(tensors), free_bytes(path.parent)
        reason = brief(error).removeprefix("Error while serializing: I/O error: ")
        raise SnapshotWriteError(
            f"the snapshot {path} cannot be written ({reason}); it needs {needed / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} MB are free: make room there"
        ) from None


def snapshot_bytes(tensors: Mapping[str, Mapping[str, Tensor]]) -> int:
    """Return the size of a snapshot of these tensors, headers not counted."""
    return sum(tensor.numel() * tensor.element_size() for named in tensors.values() for tensor in named.values())


def read_info(path: Path) -> SnapshotInfo:
    """Return what ``snapshot.json`` of a snapshot folder says.

    Raises:
        SnapshotDamagedError: there is none, or it is damaged.
        UserError: it was written by a newer facegan.
    """
    file = path / (EXPORTED_FILE if _is_exported(path) else INFO_FILE)
    try:
        info = read_json(file)
        version, found = info["format_version"], SnapshotInfo(
            path,
            _whole(info["nimg"]),
            dict(info["config"]),
            dict(info["state"]),
            dict(info["sha256"]),
            info["format_version"],
        )  # fmt: skip
    except (FileNotFoundError, NotADirectoryError):
        raise SnapshotDamagedError(f"{path} is no snapshot: it holds no {INFO_FILE}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        check_not_denied(error)
        raise SnapshotDamagedError(f"{file} is damaged ({brief(error)}); {_ADVICE}") from None
    if type(version) is not int or version < 1:
        raise SnapshotDamagedError(f"{file} is damaged (format_version is {version!r:.40}); {_ADVICE}")
    if version > FORMAT_VERSION:
        raise UserError(
            f"{file} has format version {version!r:.40}, this facegan reads 1 to {FORMAT_VERSION}: use a newer facegan"
        )
    return found


def _is_exported(path: Path) -> bool:
    return not (path / INFO_FILE).exists() and (path / EXPORTED_FILE).is_file()


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise ValueError(f"nimg is {value!r:.40}")
    return value


def _opened(info: SnapshotInfo, stem: str, most: int | None = None) -> Any:
    """Return one file of a snapshot opened by safetensors, which has read its header only.

    Raises:
        SnapshotDamagedError: it is missing, no ordinary file, larger than ``most`` bytes, has a long header, or is no
            safetensors.
    """
    file = info.path / f"{stem}.safetensors"
    if file.name not in info.sha256:
        raise SnapshotDamagedError(f"{info.path} has no {file.name}; {_ADVICE}")
    try:
        size = check_regular(file).st_size
        if most is not None and size > most:
            raise ValueError(f"it has {size:,} bytes, where at most {most:,} are expected")
        with file.open("rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > min(size, _LONGEST_HEADER):
            raise ValueError(f"its header says that it is {header:,} bytes long")
        return safe_open(file, framework="pt")
    except (FileNotFoundError, NotADirectoryError):
        raise SnapshotDamagedError(f"{info.path} has no {file.name}; {_ADVICE}") from None
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        check_not_denied(error)
        raise SnapshotDamagedError(f"{file} is damaged ({brief(error)}); {_ADVICE}") from None


def damage_of(path: Path) -> str:
    """Return what is damaged of a snapshot, or "". A file that may not be read is reported as such."""
    try:
        info = read_info(path)
        for file in info.sha256:
            read_tensors(info, file.removesuffix(".safetensors"))
    except UserError as error:
        return str(error).partition("; ")[0]
    except OSError as error:
        return f"{error.filename or path} cannot be read ({error.strerror})"
    return ""


def read_tensors(info: SnapshotInfo, stem: str, *, most: int | None = None) -> dict[str, Tensor]:
    """Return the named tensors of one file of a snapshot, on the CPU, after checking its digest.

    Raises:
        SnapshotDamagedError: the file is missing, larger than ``most`` bytes, is not the one that was written, or holds
            a value that is not finite.
    """
    file = info.path / f"{stem}.safetensors"
    with _opened(info, stem, most) as opened:
        if file_sha256(file) != info.sha256[file.name]:
            raise SnapshotDamagedError(f"{file} is not the file that was written (its sha256 differs); {_ADVICE}")
        try:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError, RuntimeError, TypeError) as error:
            check_not_denied(error)
            raise SnapshotDamagedError(f"{file} is damaged ({brief(error)}); {_ADVICE}") from None
    if (name := first_not_finite(tensors)) is not None:
        raise SnapshotDamagedError(f"{file} holds values at {name} that are not finite; {_ADVICE}")
    return {_current_name(info, stem, name): tensor for name, tensor in tensors.items()}


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or an infinity, or None."""
    known = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    named = [(name, tensor.detach()) for name, tensor in tensors.items() if tensor.dtype in known and tensor.numel()]
    if not named:
        return None
    # NaN is its tensor's extreme; no float64, which an Apple GPU has not.
    finite = torch.stack([torch.stack(torch.aminmax(tensor)).isfinite().all() for _, tensor in named]).tolist()
    return next((name for (name, _), good in zip(named, finite, strict=True) if not good), None)


def _current_name(info: SnapshotInfo, stem: str, name: str) -> str:
    """Return the name that a tensor of an older format has today."""
    recipe = info.config.get("recipe")
    network = recipe.get("network") if isinstance(recipe, Mapping) else None
    if info.version == 1 and network == "classic-tanh":
        before = "discriminator/" if stem == "optimizers" else ""
        if stem == "discriminator" or (before and name.startswith(before)):
            first, *rest = name.removeprefix(before).split(".")
            if first == "blocks" and rest and rest[0] in CLASSIC_TANH_BLOCKS_OF_1:
                return before + ".".join([first, CLASSIC_TANH_BLOCKS_OF_1[rest[0]], *rest[1:]])
    return name


CLASSIC_TANH_BLOCKS_OF_1 = {"0": "0", "3": "2", "7": "5", "9": "7"}
"""Where version 1 had each layer with weights of classic-tanh's discriminator, and where it is today."""


def load_network(info: SnapshotInfo, stem: str, build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Return the network that ``build`` makes, with the weights of one file of a snapshot.

    The file is compared with the network before memory is taken for either.

    Raises:
        UserError: as ``read_tensors`` and ``load_into``, or the settings describe no network.
    """
    where = str(info.path / f"{stem}.safetensors")
    try:
        with torch.device("meta"):
            own = build().state_dict()
    except (TypeError, ValueError, ArithmeticError, RuntimeError, KeyError, MemoryError) as error:
        raise UserError(f"{info.path / INFO_FILE} describes no network that can be built ({brief(error)})") from None
    with _opened(info, stem) as opened:
        shapes = {
            _current_name(info, stem, name): tuple(opened.get_slice(name).get_shape())
            for name in opened.keys()  # noqa: SIM118
        }
    _refuse_other(
        own.keys() ^ shapes.keys(), [name for name in own if tuple(own[name].shape) != shapes.get(name)], where
    )
    network = build()
    load_into(network, read_tensors(info, stem), where)
    return network


def load_generator(info: SnapshotInfo, recipe: RecipeConfig, stem: str = "generator") -> torch.nn.Module:
    """Return a recipe's generator with the weights of one file of a snapshot, as ``load_network`` does."""
    return load_network(info, stem, lambda: build_generator(recipe.network, recipe.generator_options, seed=None))


def load_discriminator(info: SnapshotInfo, recipe: RecipeConfig) -> torch.nn.Module:
    """Return a recipe's discriminator with a snapshot's weights, as ``load_network`` does."""
    options = recipe.discriminator_options
    return load_network(info, "discriminator", lambda: build_discriminator(recipe.network, options, seed=None))


def load_into(network: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy named tensors into a network.

    Raises:
        UserError: a tensor is missing, too many, or of another shape or type.
    """
    own = network.state_dict()
    tensors = {  # shipped weights are halves
        name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()
    }
    unlike = [
        name
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape or own[name].dtype != tensors[name].dtype
    ]
    _refuse_other(own.keys() ^ tensors.keys(), unlike, where)
    network.load_state_dict(tensors)


def _refuse_other(names: set[str], unlike: list[str], where: str) -> None:
    wrong = sorted(names) or sorted(unlike)
    if wrong:
        raise UserError(f"{where} does not fit its own settings at {wrong[0]:.80}; was it written by another program?")
