"""The training loop: next batch -> discriminator step -> generator step -> average -> whatever is due."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facegan import pixels
from facegan.config import RunConfig
from facegan.data.order import DataOrder
from facegan.data.packed import DataView
from facegan.randomness import Stream
from facegan.run import RunFolder
from facegan.sampling.latents import draw_latents
from facegan.sampling.sample import generate
from facegan.training.ema import calibrate, ema_decay, update_ema
from facegan.training.engine import Engine
from facegan.training.log import Clock, MetricWindow, RunLog, Watcher
from facegan.training.schedule import grid_name, is_due
from facegan.training.state import TrainingState, save_state
from facegan.training.steps import StepInput, play_step

GRID_COUNT = 64
CALIBRATION_COUNT = 256


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long to train and how often to look. None of it changes what is learnt."""

    images: int | None = None
    """Stop when the discriminator has seen so many real images."""
    minutes: float | None = None
    """Stop this process after so many minutes."""
    log_every: int = 1280
    sample_every: int = 5000
    snapshot_every: int = 20000
    keep: int = 3
    """Snapshots kept, the newest ones."""

    def seconds_left(self, nimg: int, rate: float, seconds: float) -> float | None:
        """Return the time to the end at this rate (images/s), ``seconds`` after the start; None if there is no end."""
        ends = [] if self.images is None else [(self.images - nimg) / rate]
        return min(ends if self.minutes is None else [*ends, self.minutes * 60 - seconds], default=None)


class StopRequest:
    """Remembers the first SIGINT or SIGTERM, so that the step in progress can be finished."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen inside the block (signals reach the main thread only)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = [signal.SIGINT, signal.SIGTERM]
        # A terminal that closes; under nohup it is ignored, and stays so.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            wanted.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._remember) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class BatchSource:
    """The real images of each step, on the engine's device."""

    def __init__(self, view: DataView, config: RunConfig, engine: Engine, dtype: torch.dtype) -> None:
        self.view, self.device, self.dtype = view, engine.device, dtype
        self.order = DataOrder(config.seed, len(view))
        self.flips = Stream(config.seed, "train/flip") if config.recipe.flip else None

    def images(self, index_N: np.ndarray) -> Tensor:
        """Return float [N, 3, R, R] in [-1, 1]: the images at these positions of the run."""
        image_NHWC = self.view.images(self.order.at(index_N))
        if self.flips is not None:
            mirrored = self.flips.below(index_N, 2).astype(bool)
            image_NHWC[mirrored] = image_NHWC[mirrored, :, ::-1]
        return pixels.to_float(torch.from_numpy(image_NHWC).to(self.device), self.dtype)


def sample_grid(generator: nn.Module, config: RunConfig) -> np.ndarray:
    """Return the uint8 picture of the run's fixed latents."""
    recipe, number_N = config.recipe, np.arange(GRID_COUNT)
    latent_NZ = draw_latents(config.seed, "grid", number_N, recipe.latent_size, recipe.latent)
    was_training = generator.training
    image_NCHW = generate(generator.eval(), latent_NZ)
    generator.train(was_training)
    return pixels.grid(pixels.to_uint8(image_NCHW))


def calibrate_average(state: TrainingState, config: RunConfig, device: torch.device) -> None:
    """Make the averaged generator, if there is one, ready to sample from: a function of its weights alone."""
    if state.average is not None:
        recipe = config.recipe
        number_N = np.arange(CALIBRATION_COUNT)
        latent_NZ = draw_latents(config.seed, "calibration", number_N, recipe.latent_size, recipe.latent)
        calibrate(state.average, torch.from_numpy(latent_NZ).to(device).split(64))


def train_loop(
    state: TrainingState,
    config: RunConfig,
    view: DataView,
    schedule: Schedule,
    engine: Engine,
    folder: RunFolder,
    watcher: Watcher,
) -> int | None:
    """Train until the schedule's end or a signal, and leave a snapshot; return the signal's number, if one came."""
    recipe, batch = config.recipe, config.batch
    share = slice(engine.rank * batch // engine.world_size, (engine.rank + 1) * batch // engine.world_size)
    source = BatchSource(view, config, engine, state.discriminator.dtype)
    window, stop = MetricWindow(), StopRequest()
    log = RunLog(folder, state.nimg) if engine.is_main else None

    def show_grid() -> None:
        calibrate_average(state, config, engine.device)
        if log is None:
            return
        picture, name = sample_grid(state.sampler, config), grid_name(state.nimg, batch, len(view))
        pixels.save_png(folder.samples / name, picture)
        log.picture(state.nimg, picture)
        watcher.event("grid", nimg=state.nimg, path=str(folder.samples / name))

    def write_log() -> None:
        values = {**window.means(engine.world_size, engine.sum), "images_per_s": clock.window_rate()}
        if log is not None:
            log.scalars(state.nimg, values)
            watcher.event("log", nimg=state.nimg, seconds=round(clock.seconds, 1), **values)

    def snapshot() -> None:
        calibrate_average(state, config, engine.device)
        if engine.is_main:
            save_state(state, config, folder.snapshot(state.nimg))
            folder.keep_latest(schedule.keep)
            watcher.event("snapshot", nimg=state.nimg, path=str(folder.snapshot(state.nimg)))
        engine.barrier()

    if state.nimg == 0:
        show_grid()
        snapshot()
    drawn = logged = saved = state.nimg
    clock = Clock()
    with stop.listening():
        while not _is_over(state.nimg, schedule, clock, stop, engine):
            index_N = np.arange(state.nimg, state.nimg + batch)[share]
            step = StepInput(recipe=recipe, seed=config.seed, index_N=index_N)
            real_NCHW = source.images(index_N)
            window.add(play_step(state.generator, state.discriminator, real_NCHW, step))
            state.nimg += batch
            if state.average is not None:
                decay = ema_decay(state.nimg, batch, recipe.ema_halflife)
                update_ema(state.average, state.generator.network, decay)
            rate = clock.step(batch)
            watcher.progress(state.nimg, schedule.images, rate, schedule.seconds_left(state.nimg, rate, clock.seconds))
            if is_due(state.nimg, batch, schedule.log_every):
                write_log()
                logged = state.nimg
            if is_due(state.nimg, batch, schedule.sample_every):
                show_grid()
                drawn = state.nimg
            if is_due(state.nimg, batch, schedule.snapshot_every):
                snapshot()
                saved = state.nimg
        # Whatever ended the loop, the run ends with a line, a grid and a snapshot of its last step.
        if logged != state.nimg:
            write_log()
        if drawn != state.nimg:
            show_grid()
        if saved != state.nimg:
            snapshot()
    if log is not None:
        log.close()
    return stop.signal


def _is_over(nimg: int, schedule: Schedule, clock: Clock, stop: StopRequest, engine: Engine) -> bool:
    """Return whether to stop now. Processes agree: one that went on alone would wait for the others for ever."""
    late = schedule.minutes is not None and clock.seconds >= schedule.minutes * 60
    mine = stop.signal is not None or late or (schedule.images is not None and nimg >= schedule.images)
    if engine.world_size == 1:
        return mine
    return bool(engine.sum(torch.tensor(float(mine), device=engine.device)).item() > 0)
