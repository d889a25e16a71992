"""A GPU that is not there: CPU tensors that say they are on ``cuda:0``, and operations that refuse to mix devices.

Everything is computed on the CPU, so that results are those of the CPU to the bit. What a real GPU would refuse raises
``DeviceMixError``; what would make the processor wait for it is noted in ``waits``. A tensor's place is that of its
storage, so that views and autograd's saved tensors have theirs. Modes belong to a thread: other threads see a CPU.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import facegan

DEVICE = torch.device("cuda:0")
_STRICT = ("_foreach_", "_fused_", "aten.cat", "aten.stack", "aten.index", "aten.copy_")
"""Operations in which a number on the CPU is not welcome either; elsewhere CUDA takes it."""
_PACKAGE = f"{Path(facegan.__file__).parent}/"
_WAITING = ("aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten.masked_select", "aten.unique")


class DeviceMixError(RuntimeError):
    """Tensors of two devices met in one operation."""


class SimulatedCuda:
    """What the simulated GPU holds, and what happened."""

    def __init__(self) -> None:
        self._held: dict[int, StorageWeakRef] = {}
        self._pinned: dict[int, StorageWeakRef] = {}
        self.backwards = 0
        """Backward passes that are under way: what they make anew is made where their gradients are."""
        self.waits: list[str] = []
        """Operations of ours that the processor would have waited in, with their place."""

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor is on the GPU."""
        return tensor.untyped_storage()._cdata in self._held

    def take(self, tensor: Tensor) -> Tensor:
        """Put a tensor's storage on the GPU."""
        reference = StorageWeakRef(tensor.untyped_storage())  # as long as it is kept, the number belongs to nobody else
        self._held[reference.cdata] = reference
        return tensor

    def pin(self, tensor: Tensor) -> Tensor:
        """Return a pinned copy."""
        with torch._C.DisableTorchFunction():
            copy = tensor.detach().clone()
        reference = StorageWeakRef(copy.untyped_storage())
        self._pinned[reference.cdata] = reference
        return copy

    def wait(self, what: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(_PACKAGE)]
        place = f"{frames[-1].filename.removeprefix(_PACKAGE)}:{frames[-1].lineno}" if frames else "a test"
        self.waits.append(f"{what} at {place}")

    def moved(self, tensor: Tensor, to_gpu: bool, blocking: bool = True) -> Tensor:
        """Return a tensor on the other side, or itself where it is there already."""
        if self.holds(tensor) == to_gpu:
            return tensor
        if not to_gpu or blocking or tensor.untyped_storage()._cdata not in self._pinned:
            self.wait("copy to the GPU" if to_gpu else "copy from the GPU")
        with _Suspended(self):
            copy = tensor.clone()
        return self.take(copy) if to_gpu else copy


def _wants_gpu(device: Any) -> bool | None:
    if device is None or isinstance(device, torch.dtype):
        return None
    return torch.device(device).type == "cuda"


class _Names(TorchFunctionMode):
    """Devices as Python sees them."""

    def __init__(self, gpu: SimulatedCuda) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, gpu = dict(kwargs or {}), self.gpu
        name = getattr(func, "__name__", "")
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return DEVICE if gpu.holds(args[0]) else func(*args)
        if func == Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return gpu.holds(args[0])
        if name == "__deepcopy__" and isinstance(args[0], Tensor):
            copy = func(*args, **kwargs)
            return gpu.take(copy) if gpu.holds(args[0]) else copy
        if func is Tensor.is_pinned:
            return args[0].untyped_storage()._cdata in gpu._pinned
        if func is Tensor.pin_memory:
            return gpu.pin(args[0])
        if func in (Tensor.tolist, Tensor.numpy, Tensor.__array__) and gpu.holds(args[0]):
            if func is not Tensor.tolist:
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            gpu.wait("tolist")
        if func is Tensor.cpu:
            return gpu.moved(args[0], False)
        if func is Tensor.to:
            return self._to(func, args, kwargs)
        wants = _wants_gpu(kwargs.get("device"))
        if wants is None:
            backward = func in (Tensor.backward, torch.autograd.backward, torch.autograd.grad)
            gpu.backwards += backward
            try:
                return func(*args, **kwargs)
            finally:
                gpu.backwards -= backward
        made = func(*args, **{**kwargs, "device": "cpu"})
        if wants:
            if any(isinstance(value, (list, float, int)) for value in args) and name in ("tensor", "as_tensor"):
                gpu.wait("copy to the GPU")
            gpu.take(made)
        return made

    def _to(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        tensor, *rest = args
        places = [value for value in rest if isinstance(value, (torch.device, str))] + [kwargs.pop("device", None)]
        others = [value.dtype if isinstance(value, Tensor) else value for value in rest]
        places += [value.device for value in rest if isinstance(value, Tensor)]
        others = [value for value in others if not isinstance(value, (torch.device, str))]
        blocking = not kwargs.pop("non_blocking", False) and True not in others
        others = [value for value in others if not isinstance(value, bool)]
        place = next((place for place in places if place is not None), None)
        wants = _wants_gpu(place)
        moved = tensor if wants is None else self.gpu.moved(tensor, wants, blocking)
        if moved is not tensor:
            kwargs.pop("copy", None)
        return func(moved, *others, **kwargs) if others or kwargs else moved


class _Operations(TorchDispatchMode):
    """Devices as operations see them, those of a backward pass too."""

    def __init__(self, gpu: SimulatedCuda) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, str(func)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        places = [self.gpu.holds(tensor) for tensor in tensors]
        if any(places):
            strict = any(part in name for part in _STRICT)
            alone = [tensor for tensor, there in zip(tensors, places, strict=True) if not there]
            if name.startswith("aten.copy_"):
                if alone:
                    self.gpu.wait(name)
            elif any(strict or tensor.dim() for tensor in alone):
                raise DeviceMixError(f"{name}: expected all tensors on cuda:0, found {len(alone)} on cpu")
            masks = name.startswith("aten.index") and any(tensor.dtype == torch.bool for tensor in tensors[1:])
            if name.startswith(_WAITING) or masks:
                self.gpu.wait(name)
        if name.startswith("aten._fused_"):
            _check_layouts(name, args)
        made = func(*args, **kwargs)
        if (any(places) or (self.gpu.backwards and not tensors)) and not name.startswith("aten.copy_"):
            for tensor in tree_leaves(made):
                if isinstance(tensor, Tensor):
                    self.gpu.take(tensor)
        return made


def _check_layouts(name: str, args: Any) -> None:
    """Refuse parameters, gradients and moments that lie in memory in different ways, as CUDA's fused optimisers do."""
    lists = [part for part in args if isinstance(part, (list, tuple)) and part and part[0].dim() + part[0].numel() > 1]
    for same in zip(*lists, strict=False):
        like = {
            (each.dtype, *((size, stride) for size, stride in zip(each.shape, each.stride(), strict=True) if size > 1))
            for each in same
        }
        if len(like) > 1:
            raise DeviceMixError(f"{name}: parameters, gradients and moments must have same dtype and layout: {like}")


class _Suspended:
    """Outside of both modes, for a copy of ours."""

    def __init__(self, gpu: SimulatedCuda) -> None:
        self.exits: list[Any] = []

    def __enter__(self) -> None:
        from torch.utils._python_dispatch import _disable_current_modes

        self.exits = [torch._C.DisableTorchFunction(), _disable_current_modes()]
        for manager in self.exits:
            manager.__enter__()

    def __exit__(self, *error: Any) -> None:
        for manager in reversed(self.exits):
            manager.__exit__(*error)


@contextmanager
def simulated_cuda() -> Iterator[SimulatedCuda]:
    """Inside, ``device="cuda"`` is the simulated GPU."""
    gpu = SimulatedCuda()
    with _Names(gpu), _Operations(gpu):
        yield gpu


class Place:
    """What ``Engine`` is to a training of one process, on the simulated GPU."""

    device = DEVICE
    rank, world_size, is_main = 0, 1, True
    local_rank, local_size, hosts, launch = 0, 1, 1, None

    def broadcast_object(self, value: Any) -> Any:
        return value

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def on_main(self, work: Any) -> Any:
        return work()

    run_on_all = on_main

    def main_works(self) -> Any:
        return nullcontext()

    def barrier(self) -> None: ...

    def say_told(self) -> None: ...
