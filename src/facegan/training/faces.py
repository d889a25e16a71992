"""The faces that a training makes to look at itself, and what their attributes are drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from facegan.config import RunConfig
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.files import read_bytes
from facegan.pixels import to_uint8
from facegan.provenance import Provenance
from facegan.runs.folder import write_run_file
from facegan.sampling.conditioning import LabelSampler
from facegan.sampling.label_prior import MOST_BYTES, LabelPrior, fit
from facegan.sampling.latents import draw_latents
from facegan.sampling.sampler import generate

GRID_COUNT = 64


def run_prior(file: Path, view: DataView, config: RunConfig, labels_MA: np.ndarray | None) -> LabelPrior | None:
    """Return the label prior of a run, or None if it learns without attributes or hardly any face has one.

    It is a function of the labels that the run learns with (``labels_MA``, or the view's own), fitted once and kept in
    ``file`` for the run's life: another machine's rounding must not change it. A damaged file is made anew.

    Raises:
        UserError: the file cannot be written.
    """
    if not config.recipe.attributes:
        return None
    try:
        return LabelPrior.from_tensors(load(read_bytes(file, MOST_BYTES)), str(file))
    except (OSError, ValueError, SafetensorError, UserError):
        pass
    prior = fit(view.attributes(np.arange(len(view))) if labels_MA is None else labels_MA)
    if prior is not None:
        write_run_file(file, save(prior.to_tensors()))
    return prior


def grid_faces(generator: nn.Module, config: RunConfig, prior: LabelPrior | None) -> np.ndarray:
    """Return uint8 [64, R, R, 3]: faces of the same latents and labels over a run's life.

    The generator's mode stays what it was.
    """
    was_training = generator.training
    faces_NHWC = make_faces(generator.eval(), config, prior, "grid", np.arange(GRID_COUNT))
    generator.train(was_training)
    return faces_NHWC


def grid_provenance(config: RunConfig, nimg: int) -> Provenance:
    """Return what a picture of ``grid_faces`` says of itself; their latents are no numbered samples of the seed."""
    return Provenance(model=config.recipe.name, nimg=nimg, seed=config.seed, sheet=True)


def labels_of_faces(
    config: RunConfig, prior: LabelPrior | None, stream: str, number_N: np.ndarray
) -> np.ndarray | None:
    """Return float32 [N, 40]: what ``make_faces`` says of its faces; None: nothing."""
    sampler = LabelSampler(prior, dropout=config.recipe.label_dropout)
    return sampler.draw(config.seed, number_N, stream=f"{stream}/labels")


def make_faces(
    generator: nn.Module, config: RunConfig, prior: LabelPrior | None, stream: str, number_N: np.ndarray
) -> np.ndarray:
    """Return uint8 [N, R, R, 3]: faces of a run's fixed latents ``stream``, labelled as the run's faces are.

    The generator must be in inference mode. Values that are not finite come out grey.
    """
    recipe = config.recipe
    latent_NZ = draw_latents(config.seed, stream, number_N, recipe.latent_size, recipe.latent)
    labels_NA = labels_of_faces(config, prior, stream, number_N)
    return to_uint8(generate(generator, latent_NZ, labels_NA).nan_to_num(0.0))
