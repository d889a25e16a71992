"""Batch normalisation over processes: centred moments are merged, so that a large mean costs no digits."""

import pytest
import torch

from facegan.networks import layers
from facegan.networks.layers import BatchNorm


def halves_of(monkeypatch, x_NC, sizes):
    """Return what two processes make of their parts of a batch, and the layer after one step of the first."""
    parts, rows = x_NC.split(sizes), []
    monkeypatch.setattr(layers, "process_count", lambda: 2)
    norms = []
    for listening in (True, False):
        norms = [BatchNorm(x_NC.shape[1], momentum=0.0, epsilon=1e-5) for _ in parts]
        made = []
        for norm, part in zip(norms, parts, strict=True):
            torch.nn.init.ones_(norm.weight), torch.nn.init.zeros_(norm.bias)

            def gathered(row, listening=listening):
                if listening:
                    rows.append(row.detach())
                    return torch.stack([row, row])
                return torch.stack(rows)

            monkeypatch.setattr(layers, "differentiable_all_gather", gathered)
            made.append(norm.train()(part))
    return torch.cat(made).detach(), norms[0]


@pytest.mark.parametrize("mean_over_deviation", [0, 100, 1000, 10_000])
@pytest.mark.parametrize("sizes", [[32, 32], [8, 56]])
def test_a_large_mean_costs_no_digits(monkeypatch, mean_over_deviation, sizes):
    torch.manual_seed(0)
    x_NC = torch.randn(64, 3) + mean_over_deviation
    found, norm = halves_of(monkeypatch, x_NC, sizes)
    wide = x_NC.double()
    expected = (wide - wide.mean(0)) / (wide.var(0, unbiased=False) + 1e-5).sqrt()
    rounding = mean_over_deviation * 2.0**-23  # of one float32 mean
    assert (found - expected).abs().max() < 1e-5 + 2 * rounding
    assert norm.running_var == pytest.approx(wide.var(0, unbiased=False).float(), rel=1e-5 + rounding)


def test_the_gradient_is_that_of_the_whole_batch():
    """Two halves whose rows reach each other by autograd: the sum of both losses has the gradient of one batch."""
    torch.manual_seed(0)
    x_NC = torch.randn(16, 3, dtype=torch.float32) * 2 + 5
    target_NC = torch.randn(16, 3)

    def loss_of(y_NC, target):
        return ((y_NC - target) ** 2).sum()

    whole = x_NC.clone().requires_grad_()
    norm = BatchNorm(3, momentum=0.9, epsilon=1e-5)
    torch.nn.init.ones_(norm.weight), torch.nn.init.zeros_(norm.bias)
    loss_of(norm.train()(whole), target_NC).backward()

    apart = [part.clone().requires_grad_() for part in x_NC.split([4, 12])]
    rows = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "differentiable_all_gather", lambda row: rows.append(row) or torch.stack([row, row]))
        for part in apart:
            norm._normalise_across_processes(part)
        patch.setattr(layers, "differentiable_all_gather", lambda row: torch.stack(rows))
        made = [norm._normalise_across_processes(part)[0] for part in apart]
    sum(loss_of(y, target) for y, target in zip(made, target_NC.split([4, 12]), strict=True)).backward()
    found = torch.cat([part.grad for part in apart])
    assert torch.allclose(found, whole.grad, atol=1e-4)
