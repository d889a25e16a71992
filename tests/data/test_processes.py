"""Work shared out to processes: every share is answered once, a crash costs one share, nothing is left running."""

import multiprocessing
import os
from dataclasses import dataclass

import numpy as np
import pytest

from facegan.data.decode_files import Decoder, Share, after_crash
from facegan.data.processes import in_processes
from facegan.data.sources import ImageFile, Reader
from facegan.errors import UserError


def square(number):
    return number * number


def crash_at_five(number):
    if number == 5:
        os._exit(7)
    return number


def full_disk(number):
    raise OSError(28, "No space left on device")


def give_up(share, exit_code):
    raise AssertionError(f"{share} crashed with {exit_code}")


@pytest.mark.parametrize("count", [1, 3])
def test_every_share_once(count):
    assert sorted(in_processes(square, range(20), count, give_up)) == [number**2 for number in range(20)]
    assert multiprocessing.active_children() == []


def test_a_crash_costs_one_share():
    crashes = []

    def after_crash(share, exit_code):
        crashes.append((share, exit_code))
        return [-share], [100]

    assert sorted(in_processes(crash_at_five, range(10), 2, after_crash)) == [-5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 100]
    assert crashes == [(5, 7)]


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_disk_comes_through(count):
    with pytest.raises(OSError, match="No space"):
        list(in_processes(full_disk, range(10), count, give_up))
    assert multiprocessing.active_children() == []


def test_giving_up_in_the_middle_leaves_no_process():
    answers = in_processes(square, range(1000), 2, give_up)
    next(answers)
    assert len(multiprocessing.active_children()) == 2
    answers.close()
    assert multiprocessing.active_children() == []


@dataclass(frozen=True)
class CrashingDecoder(Decoder):
    """A decoder with a bug that one image triggers."""

    def __call__(self, share):
        if any(file.name == "evil.png" for file in share.files):
            os._exit(11)
        return super().__call__(share)


def test_an_image_that_crashes_the_decoder_is_set_aside(tmp_path, encoded):
    names = [f"{number}.png" for number in range(70)] + ["evil.png"]
    for name in names:
        (tmp_path / name).write_bytes(encoded(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)))
    files = [ImageFile(name, name) for name in names]
    packed = tmp_path / "images.bin"
    packed.write_bytes(bytes(71 * 8 * 8 * 3))
    shares = [Share(row, files[row : row + 32]) for row in range(0, 71, 32)]
    decoder = CrashingDecoder(Reader(tmp_path), 8, 148, packed, 0)
    outcomes = sorted(outcome for some in in_processes(decoder, shares, 2, after_crash) for outcome in some)
    assert [outcome.row for outcome in outcomes] == list(range(71))
    assert [outcome.row for outcome in outcomes if not outcome.kept] == [70]
    assert "crashed" in outcomes[70].findings[0].reason and "11" in outcomes[70].findings[0].reason
    assert packed.read_bytes()[: 70 * 192] == bytes(range(192)) * 70


class Unwilling:
    """Cannot be brought to life in another process."""

    def __reduce__(self):
        return (os._exit, (1,))

    def __call__(self, share):
        return share


def test_processes_that_never_start_are_no_endless_loop():
    with pytest.raises(UserError, match="no further process can be started"):
        list(in_processes(Unwilling(), range(10), 2, give_up))
