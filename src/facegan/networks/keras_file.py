"""Weights in Keras' HDF5 files, read in a process of its own with limited memory and time: HDF5 is a large library,
and a file from elsewhere may make it crash or ask for any amount of memory.

Both layouts are read: ``model.save_weights("x.weights.h5")`` of Keras 3, and the older ``.h5`` of ``save`` and
``save_weights``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from facegan.errors import UserError, brief
from facegan.files import check_regular

_SECONDS = 120
_SPARE_BYTES = 1 << 30
"""Address space that Python, numpy and h5py may take besides the arrays."""
_MOST_ARRAYS = 1000


def read_keras_file(path: Path, names: list[str], most_bytes: int) -> list[np.ndarray]:
    """Return the arrays of a Keras model in the order of ``names``, as ``keras_weights`` has them ("dense/kernel" ...).

    ``most_bytes``: arrays of more are refused before they are read.

    Raises:
        UserError: the file cannot be read, or holds no such weights; h5py is not installed.
    """
    try:
        size = check_regular(path).st_size
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({brief(error)}); give a .h5 file of Keras") from None
    if size > 4 * most_bytes + (16 << 20):  # Keras may store Adam's two moments beside the weights
        raise UserError(f"{path} has {size:,} bytes, and the model's weights {most_bytes:,}: is it of another model?")
    with tempfile.TemporaryDirectory(prefix="facegan-keras-") as folder:
        out = Path(folder) / "arrays.npz"
        command = [sys.executable, "-P", __file__, str(path), str(out), str(most_bytes)]  # as a file: without torch
        try:
            done = subprocess.run(
                [*command, json.dumps(names)], capture_output=True, text=True, errors="replace", timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{path} could not be read in {_SECONDS} s: it is damaged") from None
        if done.returncode == 2:
            raise UserError(f"{path}: {done.stderr.strip()[-500:]}")
        if done.returncode:
            raise UserError(f"{path} is damaged: reading it ended with code {done.returncode}")
        with np.load(out, allow_pickle=False) as arrays:
            return [arrays[str(number)] for number in range(len(arrays.files))]


def read_arrays(path: Path, names: list[str], most_bytes: int) -> list[np.ndarray]:
    """Do what ``read_keras_file`` does, in this process."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            found = _by_name(root["layers"], names) if "layers" in root else _in_order(root)
            if any(not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f" for dataset in found):
                raise UserError("it holds something else than arrays of numbers where weights are expected")
            if sum(dataset.size * 8 for dataset in found) > 2 * most_bytes + 1024:
                raise UserError("its arrays are larger than the model's: is it of another recipe or resolution?")
            return [np.asarray(dataset[()], np.float32) for dataset in found]
    except UserError:
        raise
    except MemoryError:
        raise UserError("it needs more memory than a model of this recipe has weights") from None
    except Exception as error:  # h5py meets a damaged file with any exception there is
        raise UserError(f"it is no HDF5 file with a Keras model's weights ({brief(error)})") from None


_VARIABLES = {
    "kernel": "0", "bias": "1", "gamma": "0", "beta": "1", "moving_mean": "2", "moving_variance": "3",
}  # fmt: skip


def _by_name(layers: Any, names: list[str]) -> list[Any]:
    """Return the datasets of Keras 3's layout: layers/<layer>/vars/<number>."""
    found = []
    for name in names:
        layer, variable = name.split("/")
        place = f"{layer}/vars/{_VARIABLES[variable]}"
        if place not in layers:
            raise UserError(f"it has no weights layers/{place}, expected for {name}: is it of another recipe?")
        found.append(layers[place])
    return found


def _in_order(root: Any) -> list[Any]:
    """Return the datasets of the older layout, in the order that its attributes give."""
    layers = [_text(name) for name in root.attrs["layer_names"]]
    found = [root[layer][_text(name)] for layer in layers for name in root[layer].attrs["weight_names"]]
    if len(found) > _MOST_ARRAYS:
        raise UserError(f"it lists {len(found):,} arrays")
    return found


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def limit_memory(most_bytes: int) -> None:
    """Let this process take no more address space than it needs for so many bytes of weights (POSIX)."""
    try:
        import resource
    except ImportError:
        return
    limit = 4 * most_bytes + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _main(path: str, out: str, most_bytes: str, names: str) -> int:
    try:
        import h5py  # noqa: F401
    except ImportError:
        print("reading it needs h5py: pip install h5py", file=sys.stderr)
        return 2
    limit_memory(int(most_bytes))
    try:
        arrays = read_arrays(Path(path), json.loads(names), int(most_bytes))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    np.savez(out, **{str(number): array for number, array in enumerate(arrays)})  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
