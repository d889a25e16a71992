"""Where the faces to be measured come from, and how the command line shows that it looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facegan.errors import UserError, brief

if TYPE_CHECKING:
    import numpy as np
    import torch

    from facegan.provenance import Provenance

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
    """Return batches of faces, what made them, and how many there are. A model makes them on a device.

    ``first``: number of a model's first face of the seed; of an array or a dataset the first faces are always taken.
    ``labels``: as ``Model.batches``'s.
    """
    import numpy as np

    from facegan.data.packed import DataView, PackedDataset, map_array
    from facegan.runs.folder import SHIPPED

    if model.suffix == ".npy" and model.is_file():
        try:
            faces = map_array(model)
        except (OSError, ValueError) as error:
            raise UserError(f"{model} is no array of faces ({brief(error)}): give uint8 [N, R, R, 3]") from None
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1] != faces.shape[2] or faces.shape[3] != 3:
            raise UserError(f"{model} holds {faces.dtype} {list(faces.shape)}: give uint8 [N, R, R, 3]")
        found = min(count, len(faces))
        named = {"kind": "array", "path": str(model), "resolution": int(faces.shape[1])}
        return (faces[start : min(start + _BATCH, found)] for start in range(0, found, _BATCH)), named, found
    if str(model) not in SHIPPED and (model / "dataset.json").is_file():
        view = DataView([PackedDataset.open(model)], held_out=None)
        found = min(count, len(view))
        named = {"kind": "dataset", "path": str(model), "resolution": view.resolution, "sha256": view.content_hash}
        rows = (np.arange(start, min(start + _BATCH, found)) for start in range(0, found, _BATCH))
        return (view.images(row_B) for row_B in rows), named, found
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


def pairs_provenance(described: Mapping[str, Any]) -> Provenance:
    """Return what a picture of faces that ``faces_of`` describes, beside others, says of itself."""
    from facegan.provenance import Provenance

    names = {"model": "recipe", "nimg": "nimg", "sha256": "sha256", "seed": "seed", "truncation": "truncation"}
    known = {name: described[key] for name, key in names.items() if described["kind"] == "model"}
    return Provenance(**known, sheet=True, in_part=True)


def real_faces(model: Path, data: list[Path] | None) -> list[Path]:
    """Return the folders of real faces: those that were given, or else those that the run was trained on.

    Raises:
        UserError: none were given, and the model is no run that says which they are.
    """
    if data:
        return data
    from facegan.runs.folder import RUN_FILE, SHIPPED, RunFolder

    if not model.exists() and str(model) not in SHIPPED:
        raise UserError(f"there is no model at {model}: give the folder of a run, as facegan train --run writes it")
    recorded = RunFolder(model).read().get("data") if (model / RUN_FILE).is_file() else None
    if not isinstance(recorded, list) or not recorded:
        raise UserError(f"{model} is no run that says what it was trained on: give the folders of real faces behind it")
    return [Path(str(path)) for path in recorded]


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show what is being done and the time left, on standard error; where that is no terminal, only what is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), "left", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def stage(name: str, done: int, whole: int) -> None:
            if name not in tasks:
                if not console.is_terminal:
                    console.print(f"{name} ({whole:,}) ...", highlight=False, markup=False, soft_wrap=True)
                tasks[name] = bar.add_task(name, total=whole)
            bar.update(tasks[name], completed=done)

        yield stage
