"""Where a command computes."""

import pytest
import torch

from facegan import machine
from facegan.errors import UserError
from facegan.machine import inference_device, other_machine, to_device
from tests.simulated_cuda import DEVICE, simulated_cuda


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    before = torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32 = before


def test_a_gpu_is_taken_where_there_is_one_and_in_full_float32(two_gpus):
    torch.backends.cudnn.allow_tf32 = True
    assert inference_device("cpu") == torch.device("cpu")
    assert torch.backends.cudnn.allow_tf32
    assert [inference_device(name).index for name in ("auto", "cuda", "cuda:1")] == [0, 0, 1]
    assert not torch.backends.cudnn.allow_tf32
    with pytest.raises(UserError, match="there are 2 GPUs here, cuda:0 to cuda:1"):
        inference_device("cuda:2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so():
    assert inference_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(UserError, match=f"--device {name}: no CUDA device is usable here"):
            inference_device(name)


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "auto:1", "cuda:", "cuda:-1", "cuda:x", ""])
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match="choose auto, cpu, cuda, mps or"):
        inference_device(name)


def test_nobody_waits_for_what_goes_onto_a_gpu():
    values = machine.np.arange(4)
    with simulated_cuda() as gpu:
        there = to_device(values, DEVICE)
        assert there.device == DEVICE
        assert gpu.waits == []
        torch.from_numpy(values).to(DEVICE)
        assert len(gpu.waits) == 1
    assert to_device(values, torch.device("cpu")).tolist() == [0, 1, 2, 3]


def test_more_threads_than_cores_are_no_other_machine():
    machine = {"accelerator": None, "processor": "a", "instructions": ["avx2"], "cores": 2}
    assert other_machine(machine, machine, threads=4) is None
    assert "fewer cores" in str(other_machine(machine | {"cores": 8}, machine, threads=4))
    assert other_machine(machine | {"cores": 8}, machine, threads=2) is None
