"""A short training in a process of its own, which tells what it spends its time on: python -m facegan.planning.trial.

It is the training itself, in a folder that is thrown away, with the run's own batch and on its data; before and after
it faces are made and looked at as for a quick score. One JSON line on standard output for each thing that is known, so
that a trial that is cut off has told what it knew.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from facegan.config import RunConfig

_FACES = 64
"""Faces that are made and looked at to see how fast that is."""
_MAX_STEPS = 400


class _Teller:
    """A listener that prints when things happened, in seconds since the command was given, and the processor time that
    had been used by then."""

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._steps = 0

    def tell(self, what: str, **fields: Any) -> None:
        times = {"t": round(time.time() - self._begun, 4), "cpu": round(time.process_time(), 4)}
        print(json.dumps({"what": what, **times, **fields}), flush=True)

    def leave_out(self, seconds: float) -> None:
        """Count this much less from now on: for what a training does not do."""
        self._begun += seconds

    def event(self, kind: str, **fields: Any) -> None:
        names = {"start": ("threads", "precision", "device", "images_per_s", "snapshot_bytes", "free_bytes", "faces",
                           "held_out", "generator", "discriminator"), "stop": ("nimg", "gpu_gib")}  # fmt: skip
        if kind in ("measuring", "start", "labels", "grid", "stop"):
            self.tell(kind, **{name: fields[name] for name in names.get(kind, ()) if name in fields})

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        self._steps += 1
        self.tell("step", nimg=nimg)


def run(request: dict[str, Any], teller: _Teller) -> None:
    """Train as ``request`` asks: "data", "run" (a folder that is not there yet), "recipe", "resolution", "settings",
    "batch", "threads", "forms", "accelerator", "seconds" (of steps)."""
    from facegan.config import RunConfig
    from facegan.config_changes import with_settings
    from facegan.recipes import recipe, usual_batch
    from facegan.training.execution_plan import ExecutionRequest
    from facegan.training.schedule import Schedule
    from facegan.training.train import Start, train

    teller.tell("ready")
    config = with_settings(recipe(request["recipe"], request["resolution"]), request["settings"])
    if config.augment == "ada":  # it begins at 0, where it costs nothing, and soon costs as much as at any probability
        config = replace(config, augment="scheduled", augment_schedule=((0, 0.05),))
    batch = request["batch"] or usual_batch(config.name)
    requested = ExecutionRequest(
        threads=request["threads"], conv=request["forms"], accelerator=request["accelerator"], devices=1,
        precision="auto" if request["forms"] == "auto" else "float32",
    )  # fmt: skip
    schedule = Schedule(
        images=_MAX_STEPS * batch, minutes=request["seconds"] / 60, sample_every=10**9, score_count=0, keep=1
    )  # fmt: skip
    data, folder = [Path(path) for path in request["data"]], Path(request["run"])
    run_config = RunConfig(recipe=config, batch=batch, seed=0, data="")
    started = time.perf_counter()
    _look_at_faces(data, run_config, teller)
    teller.leave_out(time.perf_counter() - started)
    train(
        data, folder, config, start=Start(batch=batch), schedule=schedule,
        requested=requested, labeller=_no_labels, listener=teller,
    )  # fmt: skip
    _tell_memory(teller)
    _look_at_faces(data, run_config, teller)  # with as many threads as the run has
    _tell_memory(teller)


def _no_labels(image_NHWC: np.ndarray) -> np.ndarray:
    """Return logits of attributes that nobody looked for: the time that labelling takes is told by itself."""
    from facegan.attributes import ATTRIBUTE_COUNT

    return np.full((len(image_NHWC), ATTRIBUTE_COUNT), 0.1, np.float32)


def _look_at_faces(data: list[Path], config: RunConfig, teller: _Teller) -> None:
    """Tell the seconds for each face made as for a quick score, and for each face that attributes-net looks at."""
    from facegan.data.packed import DataView, PackedDataset
    from facegan.networks import build_generator
    from facegan.perception.labeller import shipped
    from facegan.training.quick_score import score_faces

    view = DataView([PackedDataset.open(path) for path in data])
    some_NHWC = view.images(np.arange(min(_FACES, len(view))))
    net = shipped()
    net.features(some_NHWC[:8])
    started = time.perf_counter()
    net.features(some_NHWC)
    look = (time.perf_counter() - started) / len(some_NHWC)
    generator = build_generator(config.recipe.network, config.recipe.generator_options, seed=0).eval()
    started = time.perf_counter()
    made = sum(len(part) for part in score_faces(generator, config, _FACES))
    teller.tell("faces", make=(time.perf_counter() - started) / made, look=look)


def _tell_memory(teller: _Teller) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    unit = 1 if sys.platform == "darwin" else 1024
    teller.tell("memory", bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def main() -> None:
    from facegan.errors import UserError

    request = json.loads(sys.argv[1])
    teller = _Teller(request["begun"])
    try:
        run(request, teller)
    except UserError as error:
        teller.tell("error", message=str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
