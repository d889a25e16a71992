"""An average of any half-life, made afterwards from those that a run's snapshots hold (Karras et al. 2024, section 3).

An average is a weighted mean of the weights along the run; how heavily it weighs each moment is its profile. A sum of
stored averages has the sum of their profiles, so the coefficients whose profile comes nearest to a wanted one, by least
squares, give nearly the average that would have been kept (there for power-law profiles, here for exponential ones).

Legend: S stored averages, G moments of the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegan.errors import UserError
from facegan.networks import build_generator
from facegan.runs.folder import RunFolder
from facegan.runs.retention import without_score
from facegan.runs.snapshot import LABEL_PRIOR, SnapshotInfo, read_info, read_tensors, write_snapshot
from facegan.training.checkpointing import ema_stems
from facegan.training.ema import RAMP, calibrate_for

_MOMENTS = 20_000
_WORST = 0.35
"""Relative error of a profile above which the stored averages cannot make it."""


@dataclass(frozen=True)
class StoredAverage:
    """An averaged generator in a snapshot."""

    snapshot: SnapshotInfo
    stem: str
    halflife: int


def profile(nimg: int, halflife: int, moment_G: np.ndarray) -> np.ndarray:
    """Return float64 [G]: the weight that an average taken at ``nimg`` gives to each moment (images, rising).

    The average forgets at the rate r(t) = ln 2 / min(half-life, 0.05 t); its profile is r(t) exp(-integral of r from t
    to nimg), which integrates to 1, and 0 after ``nimg``.
    """
    turn = halflife / RAMP

    def forgotten(t: np.ndarray) -> np.ndarray:  # the integral of r, up to a constant
        early = math.log(2) / RAMP * np.log(np.minimum(t, turn))
        return early + math.log(2) / halflife * np.maximum(t - turn, 0)

    rate_G = math.log(2) / np.minimum(halflife, RAMP * moment_G)
    since_G = forgotten(moment_G) - forgotten(np.asarray(float(nimg)))
    return np.where(moment_G <= nimg, rate_G * np.exp(np.minimum(since_G, 0.0)), 0.0)


def coefficients(stored: Sequence[tuple[int, int]], nimg: int, halflife: int) -> tuple[np.ndarray, float]:
    """Return float64 [S] and the relative error of the profile: how to sum averages of (images, half-life).

    The coefficients sum to 1, so that weights that never changed stay what they were.
    """
    moment_G = (np.arange(_MOMENTS) + 0.5) / _MOMENTS * max(nimg, *(taken for taken, _ in stored))
    profiles_GS = np.stack([profile(taken, life, moment_G) for taken, life in stored], 1)
    wanted_G = profile(nimg, halflife, moment_G)
    heavy = 1e3 * float(np.linalg.norm(profiles_GS, axis=0).max())  # the row that asks for a sum of 1
    rows = np.vstack([profiles_GS, np.full((1, len(stored)), heavy)])
    found_S, *_ = np.linalg.lstsq(rows, np.append(wanted_G, heavy), rcond=1e-10)
    error = np.linalg.norm(profiles_GS @ found_S - wanted_G) / np.linalg.norm(wanted_G)
    return found_S, float(error)


def stored_averages(folder: RunFolder) -> list[StoredAverage]:
    """Return every average in a run's snapshots, earliest first.

    Raises:
        UserError: it is no run, or keeps no averages, or has no snapshot after its first step.
    """
    folder.latest_snapshot()  # says what is wrong with what is no run
    found = []
    for path in folder.list_snapshots():
        info = read_info(path)
        if info.nimg > 0:
            stems = ema_stems(info.run_config().recipe)
            found += [StoredAverage(info, stem, halflife) for halflife, stem in stems.items()]
    if not found:
        raise UserError(
            f"{folder.path} has no averaged generator to sum: train it with --set ema_halflife=100k and, better, --set "
            "extra_ema_halflives=500k and --keep-every"
        )
    return found


def averaged(stored: Sequence[StoredAverage], nimg: int, halflife: int) -> tuple[dict[str, Tensor], float]:
    """Return the generator's tensors as an average of ``halflife`` taken at ``nimg`` has them, and the profile's error.

    Raises:
        UserError: the stored averages are too few, or too unlike, to come near it.
    """
    found_S, error = coefficients([(item.snapshot.nimg, item.halflife) for item in stored], nimg, halflife)
    if error > _WORST:
        lives = sorted({item.halflife for item in stored})
        raise UserError(
            f"an average of {halflife:,} images at {nimg:,} cannot be made of those stored (half-lives "
            f"{', '.join(f'{life:,}' for life in lives)}; {len(stored)} in all): its profile would be off by "
            f"{error:.0%}; keep more snapshots with --keep-every, or more averages with --set extra_ema_halflives"
        )
    total: dict[str, Tensor] = {}
    for weight, item in zip(found_S.tolist(), stored, strict=True):
        for name, tensor in read_tensors(item.snapshot, item.stem).items():
            part = tensor.to(torch.float64) * weight
            total[name] = part if name not in total else total[name].add_(part)
    return {name: tensor.to(torch.float32) for name, tensor in total.items()}, error


def write_average(out: Path, newest: SnapshotInfo, tensors: Mapping[str, Tensor], halflife: int) -> None:
    """Write a model folder at ``out``: the snapshot ``newest`` with these tensors as its averaged generator.

    Raises:
        UserError: ``out`` exists, or cannot be written.
    """
    if out.exists():
        raise UserError(f"{out} exists and is left as it is; choose another --out")
    settings = newest.run_config()
    generator = build_generator(settings.recipe.network, settings.recipe.generator_options, seed=None)
    generator.load_state_dict(dict(tensors))
    calibrate_for(generator.eval(), settings)
    beside = [stem for stem in ("discriminator", LABEL_PRIOR) if f"{stem}.safetensors" in newest.sha256]
    config = {**newest.config, "recipe": {**newest.config["recipe"], "ema_halflife": halflife}}
    config["recipe"]["extra_ema_halflives"] = []
    write_snapshot(
        out,
        nimg=newest.nimg,
        config=config,
        state=without_score(newest.state),
        tensors={"ema": generator.state_dict()} | {stem: read_tensors(newest, stem) for stem in beside},
    )
