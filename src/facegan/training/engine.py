"""Where a run computes: device and processes. Lightning Fabric launches and places; sums are ``facegan.collectives``.

On the way of every step a process only adds to sums. What the main process does for longer (it scores, labels, writes)
the others wait for with ``main_works``, in which it gives signs of life, so that it is not taken for lost.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor

from facegan import collectives
from facegan.collectives import LostProcessError
from facegan.cores import usable_cores
from facegan.errors import OthersSayError, UserError
from facegan.training.launch import External, Launch, choose_interface, find_launch

T = TypeVar("T")

TIMEOUT = 300.0
"""Seconds that a process waits for the others, unless told otherwise."""
_LONG_WORK = 3600.0
"""Seconds, at least, that processes wait where all work before a run begins: reading much data takes long."""
_GRACE = 15.0
"""Seconds after ``timeout`` in which all processes end by themselves, once one is lost."""
_SIGN_OF_LIFE = 1.0
"""Seconds between two signs of life of the main process while others wait."""


class Engine:
    """One process's view of the machine: its device, its rank among ``world_size``, and what all do together."""

    def __init__(self, *, accelerator: str = "auto", devices: int | None = None, timeout: float = TIMEOUT) -> None:
        """``devices``: processes to start here, where no launcher has; ``timeout``: seconds to wait for the others.

        Raises:
            UserError: there is no such device, or the processes do not find each other.
        """
        self.timeout, self.launch = timeout, find_launch()
        accelerator = _accelerator(accelerator)
        if self.launch is not None and devices is not None:
            raise UserError(f"--devices {devices}: {self.launch.by} has started the processes; leave the flag out")
        self.fabric = self._begin(accelerator, devices)
        self.device: torch.device = self.fabric.device
        self.rank: int = self.fabric.global_rank
        self.world_size: int = self.fabric.world_size
        self.local_rank = self.launch.local_rank if self.launch is not None else self.rank
        self.local_size = self.launch.local_size if self.launch is not None else self.world_size
        """How many processes share this machine."""
        self.hosts = self.launch.hosts if self.launch is not None else 1
        self._control: Any = None
        self._waiting: Any = None
        self._patient: Any = None
        if self.world_size > 1:
            # Messages travel through the processors' memory, beside what a GPU sums.
            self._control = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout))
            self._waiting = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout))
            self._patient = dist.new_group(backend="gloo", timeout=timedelta(seconds=max(timeout, _LONG_WORK)))

    def _begin(self, accelerator: str, devices: int | None) -> Fabric:
        if accelerator == "cpu" and (devices or 1) > max(8, usable_cores()):
            raise UserError(f"--devices {devices}: this machine has {usable_cores()} cores; leave the flag out")
        launch, limit = self.launch, timedelta(seconds=self.timeout)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        _refuse_more_than_gpus(accelerator, devices, launch)
        if launch is None:
            count = devices or (torch.cuda.device_count() if accelerator == "cuda" else 1)
            strategy: Any = DDPStrategy(timeout=limit) if count > 1 else "auto"
            places: Any = count
            fabric = Fabric(
                accelerator=accelerator, devices=places, strategy=strategy, plugins=[LightningEnvironment()]
            )
        else:
            choose_interface(launch)
            places = [launch.local_rank % torch.cuda.device_count()] if accelerator == "cuda" else 1
            fabric = Fabric(
                accelerator=accelerator, devices=places, num_nodes=launch.world_size,
                strategy=DDPStrategy(timeout=limit), plugins=[External(launch)],
            )  # fmt: skip
        try:
            fabric.launch()
            _delay_last_kill(self.timeout + _GRACE)
        except RuntimeError as error:
            where = f"{launch.address}:{launch.port}" if launch else "this machine"
            raise UserError(
                f"the processes did not find each other at {where} within {self.timeout:g} s: "
                f"{collectives.brief_reason(error)}"
            ) from error
        return fabric

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        return collectives.all_reduce_sum(tensor)

    def broadcast_object(self, value: T) -> T:
        """Return the main process's value in every process."""
        if self.world_size == 1:
            return value
        # Between our own processes, as Fabric's broadcast does it; nothing of a file is ever unpickled.
        content = np.frombuffer(pickle.dumps(value), np.uint8).copy() if self.is_main else np.empty(0, np.uint8)
        size = torch.tensor([len(content)])
        collectives.broadcast_(size, group=self._control)
        message = torch.from_numpy(content) if self.is_main else torch.empty(int(size), dtype=torch.uint8)
        collectives.broadcast_(message, group=self._control)
        received: T = pickle.loads(message.numpy().tobytes())
        return received

    def broadcast_tensor_(self, tensor: Tensor) -> None:
        """Give every process the main process's values of a tensor."""
        if self.world_size > 1:
            collectives.broadcast_(tensor)

    def on_main(self, work: Callable[[], T]) -> T:
        """Let the main process work while the others wait; return what it made in every process.

        Raises:
            UserError: the main process's, in the main process; the others end without a word.
        """
        if self.world_size == 1:
            return work()
        made: tuple[T | None, BaseException | None] = (None, None)
        with self.main_works():
            if self.is_main:
                try:
                    made = (work(), None)
                except Exception as error:
                    made = (None, error)
        failed = self.broadcast_object(made[1] is not None)
        if failed:
            self._end(made[1])
        value = self.broadcast_object(made[0])
        return value  # type: ignore[return-value]

    def run_on_all(self, work: Callable[[], T]) -> T:
        """Let every process work; go on only if all could.

        Raises:
            UserError: one could not. One process says so for all: the first of those that could not.
        """
        if self.world_size == 1:
            return work()
        made, failure = None, None
        try:
            made = work()
        except Exception as error:
            failure = error
        failed = collectives.all_reduce_sum(
            torch.eye(self.world_size)[self.rank] * float(failure is not None), self._patient
        )
        if failed.any():
            first = int(failed.argmax())
            if first == self.rank and not self.is_main and isinstance(failure, UserError):
                failure = UserError(f"process {self.rank} on {socket.gethostname()}: {failure}")
            self._end(failure if first == self.rank else None)
        return made  # type: ignore[return-value]

    def _end(self, error: BaseException | None) -> NoReturn:
        if error is not None:
            raise error
        raise OthersSayError("another process cannot go on")

    @contextmanager
    def main_works(self) -> Iterator[None]:
        """Inside, the main process may take its time: the others wait at the end, as long as it gives signs of life.

        Raises:
            LostProcessError: it gave none for ``timeout``.
        """
        if self.world_size == 1:
            yield
            return
        if not self.is_main:
            yield
            while self._sign_of_life(torch.zeros(1)):
                pass
            return
        done = threading.Event()

        def signs() -> None:
            try:
                while not done.wait(_SIGN_OF_LIFE):
                    self._sign_of_life(torch.ones(1))
                self._sign_of_life(torch.zeros(1))
            except LostProcessError:
                pass  # the main thread meets the loss itself

        signing = threading.Thread(target=signs, name="facegan-signs-of-life", daemon=True)
        signing.start()
        try:
            yield
        finally:
            done.set()
        while signing.is_alive():
            signing.join(0.05)

    def _sign_of_life(self, sign: Tensor) -> bool:
        collectives.broadcast_(sign, group=self._waiting)
        return bool(sign.item())

    def barrier(self) -> None:
        """Wait for every process."""
        if self.world_size > 1:
            collectives.all_reduce_sum(torch.zeros(1), self._control)

    def _note(self, what: str, rank: int) -> str:
        """Return the name of a note in the store, which torchrun keeps over its restarts."""
        return f"facegan/{self.launch.restarts if self.launch is not None else 0}/{what}/{rank}"

    def who_answers(self, seconds: float = 3.0) -> tuple[set[int], bool]:
        """Return the ranks of the processes that are there to answer, after one was lost, this one among them; and
        whether one has told its user why it ended. Takes about so many ``seconds``.

        No rank is returned where the store does not answer, because it went with the process that held it.
        """
        answering, told = set[int](), set[int]()

        def ask() -> None:
            store, limit = _store(), timedelta(seconds=seconds)
            with contextlib.suppress(RuntimeError):
                store.set(self._note("answers", self.rank), "")
                answering.add(self.rank)
                for rank in set(range(self.world_size)) - answering:
                    if store.check([self._note("told", rank)]):
                        told.add(rank)
                    with contextlib.suppress(RuntimeError):
                        store.wait([self._note("answers", rank)], limit)
                        answering.add(rank)
                    limit = timedelta(seconds=0.5)

        # In a thread of its own: where the cable to the store is cut, it waits for minutes.
        asking = threading.Thread(target=ask, name="facegan-who-answers", daemon=True)
        asking.start()
        asking.join(seconds + 2)
        return set(answering), bool(told)

    def say_told(self) -> None:
        """Let the other processes know that this one ends, and that its user is told why."""
        if self.world_size == 1:
            return
        with contextlib.suppress(RuntimeError):
            _store().set(self._note("told", self.rank), "")


def _refuse_more_than_gpus(accelerator: str, devices: int | None, launch: Launch | None) -> None:
    """Refuse more processes on this machine than it has GPUs. Slurm may show each task one GPU only: that is right."""
    there = torch.cuda.device_count() if accelerator == "cuda" else 0
    if accelerator == "cuda" and devices is not None and devices > there:
        raise UserError(f"--devices {devices}: {there} GPU{'s are' if there > 1 else ' is'} usable here; take fewer")
    if launch is not None and 1 < there <= launch.local_rank:
        raise UserError(f"{launch.by} has started more processes on {socket.gethostname()} than its {there} GPUs")


def _delay_last_kill(seconds: float) -> None:
    """Let Lightning's observer of processes wait before it kills all of them where one has ended with an error.

    They find out by themselves which one was lost, say so, finish what they write, and end; what hangs is still killed.
    """
    for thread in threading.enumerate():
        if thread.name == "child-process-observer" and hasattr(thread, "_run"):
            look, children = thread._run, getattr(thread, "_child_processes", [])

            def patient(look: Callable[[], bool] = look, children: Sequence[Any] = children) -> bool:
                if any(child.poll() for child in children):
                    time.sleep(seconds)
                return look()

            thread._run = patient


def _store() -> Any:
    """Return where processes leave notes for each other: the store by which they found each other."""
    return dist.distributed_c10d._get_default_store()


def _accelerator(name: str) -> str:
    """Return cpu, cuda or mps."""
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise UserError(f"--accelerator {name}: choose auto, cpu, cuda or mps")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--accelerator cuda: no CUDA device is usable here; leave the flag out to train on the CPU")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("--accelerator mps: this machine has no Apple GPU that torch can use; leave the flag out")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
