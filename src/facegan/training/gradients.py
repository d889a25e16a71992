"""Gradients of several processes averaged, part by part, while the backward pass still computes the rest.

What else a step has to tell all processes travels with them: D's logits, and that a process was asked to stop. So a
step has no other meeting of its processes than these sums and those of batch normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facegan import collectives

BUCKET = 1 << 20
"""Numbers that are summed at a time, 4 MB of float32: enough for a network's speed, and several to a backward pass."""


class GradientAverage:
    """The gradients of a network's parameters, averaged over processes into its master's.

    Sums begin in a fixed order, the last layers' first, each as soon as its gradients are there, so that every process
    begins the same ones. They are float32 whatever the network computes in.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        """``parameters``: those that compute, in the network's order."""
        self._parameters = list(parameters)[::-1]
        self._buckets: list[_Bucket] = []
        for parameter in self._parameters:
            if not self._buckets or self._buckets[-1].size + parameter.numel() > BUCKET:
                self._buckets.append(_Bucket())
            self._buckets[-1].take(parameter)
        self._begun = 0
        self._works: list[collectives.Pending] = []
        places = {id(parameter): bucket for bucket in self._buckets for parameter in bucket.parameters}
        for parameter in self._parameters:
            parameter.register_post_accumulate_grad_hook(lambda it, places=places: self._arrived(it, places[id(it)]))

    def prepare(self, extra_sum: Tensor | None) -> None:
        """Get ready for a backward pass; ``extra_sum``: float32 [K], replaced by its sum over processes on the way."""
        self._begun, self._works = 0, []
        for bucket in self._buckets:
            bucket.prepare()
        if extra_sum is not None:
            self._works.append(collectives.all_reduce_sum_async(extra_sum))

    def _arrived(self, parameter: nn.Parameter, bucket: _Bucket) -> None:
        bucket.fill(parameter)
        while self._begun < len(self._buckets) and self._buckets[self._begun].full:
            self._begin_next()

    def _begin_next(self) -> None:
        bucket = self._buckets[self._begun]
        self._begun += 1
        self._works.append(collectives.all_reduce_sum_async(bucket.flat))

    def finish(self, masters: Sequence[nn.Parameter]) -> None:
        """Wait for the sums, and put the means into ``masters``, in the network's order."""
        while self._begun < len(self._buckets):
            self._begin_next()
        for work in self._works:
            work.finish()
        of_parameter = {id(own): master for own, master in zip(self._parameters, list(masters)[::-1], strict=True)}
        for bucket in self._buckets:
            bucket.flat.div_(collectives.process_count())
            for parameter, part in bucket.parts():
                master = of_parameter[id(parameter)]
                if master.grad is not None:
                    master.grad.copy_(part.view(master.shape))


class _Bucket:
    """Gradients that are summed together."""

    def __init__(self) -> None:
        self.parameters: list[nn.Parameter] = []
        self.size = 0
        self._places: dict[int, slice] = {}
        self._missing = 0

    def take(self, parameter: nn.Parameter) -> None:
        """Make room for one more parameter's gradient."""
        self._places[id(parameter)] = slice(self.size, self.size + parameter.numel())
        self.parameters.append(parameter)
        self.size += parameter.numel()

    def prepare(self) -> None:
        """Forget what the last pass left."""
        self.flat = torch.zeros(self.size, device=self.parameters[0].device)
        self._missing = len(self.parameters)

    @property
    def full(self) -> bool:
        return self._missing == 0

    def fill(self, parameter: nn.Parameter) -> None:
        """Copy the gradient of a parameter, which has just been computed."""
        assert parameter.grad is not None
        self.flat[self._places[id(parameter)]].view(parameter.shape).copy_(parameter.grad)
        self._missing -= 1

    def parts(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Return each parameter with its place in the sum."""
        return [(parameter, self.flat[self._places[id(parameter)]]) for parameter in self.parameters]
