"""Where the faces to be measured come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facegan.errors import UserError, brief

if TYPE_CHECKING:
    import numpy as np
    import torch

    from facegan.data.packed import PackedDataset

_BATCH = 256


def faces_of(
    model: Path,
    count: int,
    seed: int,
    device: torch.device | str = "cpu",
    *,
    first: int = 0,
    truncation: float = 1.0,
    labels: str = "prior",
) -> tuple[Iterator[np.ndarray], dict[str, Any], int]:
    """Return batches of faces, a description of their source, and their number: at most ``count``.

    The source is an array, a packed dataset, or a model, which generates on ``device``. ``first``: number of a model's
    first face of the seed; of an array or a dataset the first faces are always taken. ``labels``: as for
    ``Model.batches``.
    """
    from facegan.runs.folder import SHIPPED

    if model.suffix == ".npy" and model.is_file():
        return _faces_of_array(model, count)
    if str(model) not in SHIPPED and (model / "dataset.json").is_file():
        return _faces_of_dataset(model, count)
    from facegan import api

    loaded = api.load(model, device=str(device))
    named = {
        "kind": "model", "path": str(model), "recipe": loaded.recipe.name, "resolution": loaded.resolution,
        "nimg": loaded.nimg, "sha256": loaded.sha256, "seed": seed, "truncation": truncation,
        "data": loaded.config.data, "attributes": loaded.recipe.attributes,
        "labels": labels if loaded.label_prior is not None else "none",
    }  # fmt: skip
    batches = loaded.batches(count, seed=seed, first=first, truncation=truncation, labels=labels)
    return (faces for faces, _ in batches), named, count


def _faces_of_array(path: Path, count: int) -> tuple[Iterator[np.ndarray], dict[str, Any], int]:
    from facegan.data.packed import map_array

    try:
        faces = map_array(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no array of faces ({brief(error)}): give uint8 [N, R, R, 3]") from None
    if faces.dtype != "uint8" or faces.ndim != 4 or faces.shape[1] != faces.shape[2] or faces.shape[3] != 3:
        raise UserError(f"{path} holds {faces.dtype} {list(faces.shape)}: give uint8 [N, R, R, 3]")
    found = min(count, len(faces))
    named = {"kind": "array", "path": str(path), "resolution": int(faces.shape[1])}
    return (faces[start : min(start + _BATCH, found)] for start in range(0, found, _BATCH)), named, found


def _faces_of_dataset(path: Path, count: int) -> tuple[Iterator[np.ndarray], dict[str, Any], int]:
    import numpy as np

    from facegan.data.packed import DataView, PackedDataset

    view = DataView([PackedDataset.open(path)], held_out=None)
    rows = np.arange(min(count, len(view)))
    named = {"kind": "dataset", "path": str(path), "resolution": view.resolution, "sha256": view.content_hash}
    return (view.images(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)), named, len(rows)


def real_faces(model: Path, data: list[Path] | None) -> list[PackedDataset]:
    """Open the folders of real faces: those given, or else those that the run was trained on.

    Raises:
        UserError: none are given, and the model is not a run that names them; or one is not a packed dataset.
    """
    from facegan.data.packed import PackedDataset
    from facegan.runs.folder import RUN_FILE, SHIPPED, RunFolder

    if data:
        return [PackedDataset.open(path) for path in data]
    if not model.exists() and str(model) not in SHIPPED:
        raise UserError(f"there is no model at {model}: give the folder of a run, as facegan train --run writes it")
    recorded = RunFolder(model).read().get("data") if (model / RUN_FILE).is_file() else None
    if not isinstance(recorded, list) or not recorded:
        raise UserError(f"{model} is no run that says what it was trained on: give the folders of real faces as well")
    return [PackedDataset.open(Path(str(path))) for path in recorded]
