"""The only source of chance: Philox4x32-10 as a pure function (Salmon et al., SC 2011).

Every draw is a function of (seed, stream name, index). The index is the position in the run (images shown so far
plus the place in the global batch) or a sample's number, so that nothing has to be remembered in order to resume,
and N processes draw what one process would have drawn.

    key     = FNV-1a 64 of the UTF-8 text "<seed>/<stream>", as two 32-bit words, low word first
    counter = (index low, index high, block, 0); block b of an index gives its words 4b to 4b+3

Legend: N indices, K values for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

_LOW_32 = 0xFFFFFFFF
_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_CHUNK_BLOCKS = 1 << 15
"""Blocks computed at a time: 256 KiB for each intermediate, which stays in the second-level cache."""
_TORCH_CHUNK_BLOCKS = 1 << 16
"""The same for torch, which gives no second thread less than 32,768 values."""


def stream_key(seed: int, stream: str) -> tuple[int, int]:
    """Return the two 32-bit key words of a stream: FNV-1a 64 of ``"<seed>/<stream>"``, low word first."""
    state = 0xCBF29CE484222325
    for byte in f"{seed}/{stream}".encode():
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return state & _LOW_32, state >> 32


def philox4x32(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Return the four output words of Philox4x32-10, in the memory of ``counter``, which is overwritten.

    Words are 32-bit values held in int64, as NumPy arrays or as torch tensors of one shape: signed 64-bit products
    wrap, and their upper and lower halves are then cut out as for unsigned ones.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    if isinstance(c0, np.ndarray):
        library: Any = np
    else:
        import torch as library
    product_0, product_1 = library.empty_like(c0), library.empty_like(c2)
    for _ in range(_ROUNDS):
        library.multiply(c0, _MULTIPLIER_0, out=product_0)
        library.multiply(c2, _MULTIPLIER_1, out=product_1)
        library.bitwise_and(product_1, _LOW_32, out=c0)
        library.bitwise_and(product_0, _LOW_32, out=c2)
        for product, word, key_word in ((product_1, c1, k0), (product_0, c3, k1)):
            product >>= 32
            product &= _LOW_32
            word ^= product
            word ^= key_word
        c0, c1, c2, c3 = c1, c0, c3, c2
        k0, k1 = (k0 + _WEYL_0) & _LOW_32, (k1 + _WEYL_1) & _LOW_32
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Stream:
    """A named sequence of independent draws: ``Stream(seed, "latents").normal(index_N, 100)``."""

    seed: int
    name: str

    def words(self, index_N: np.ndarray, count: int) -> np.ndarray:
        """Return uint32 [N, count]: the first ``count`` random words of every index (int64 [N], not negative)."""
        index_N = np.asarray(index_N, np.int64)
        blocks = -(-count // 4)
        words_B4 = np.empty((len(index_N) * blocks, 4), np.uint32)
        for start in range(0, len(words_B4), _CHUNK_BLOCKS):
            part_B4 = words_B4[start : start + _CHUNK_BLOCKS]
            row_B, block_B = np.divmod(np.arange(start, start + len(part_B4)), blocks)
            part_index_B = index_N[row_B]
            counter = (part_index_B & _LOW_32, part_index_B >> 32, block_B, np.zeros_like(block_B))
            np.stack(philox4x32(counter, stream_key(self.seed, self.name)), axis=1, out=part_B4, casting="unsafe")
        return words_B4.reshape(len(index_N), 4 * blocks)[:, :count]

    def uniform(self, index_N: np.ndarray, count: int) -> np.ndarray:
        """Return float64 [N, count] in (0, 1): (word + 1/2) / 2^32."""
        return (self.words(index_N, count) + 0.5) * 2.0**-32

    def normal(self, index_N: np.ndarray, count: int) -> np.ndarray:
        """Return float32 [N, count], standard normal: Box-Muller in float64, rounded once; |z| < 6.77."""
        pairs = -(-count // 2)
        uniform_NP2 = self.uniform(index_N, 2 * pairs).reshape(len(index_N), pairs, 2)
        radius = np.sqrt(-2.0 * np.log(uniform_NP2[..., 0]))
        angle = 2.0 * np.pi * uniform_NP2[..., 1]
        normal_NP2 = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        return normal_NP2.reshape(len(index_N), -1)[:, :count].astype(np.float32)

    def below(self, index_N: np.ndarray, limit: int) -> np.ndarray:
        """Return int64 [N] in [0, limit): 64 random bits modulo ``limit`` (bias below limit / 2^64)."""
        words = self.words(index_N, 2).astype(np.uint64)
        return ((words[:, 0] << np.uint64(32) | words[:, 1]) % np.uint64(limit)).astype(np.int64)

    def permutation(self, number: int, count: int) -> np.ndarray:
        """Return int64 [count]: permutation ``number`` (0, 1, 2 ...) of 0 .. count-1, by sorting 64-bit draws."""
        words = self.words(np.arange(count, dtype=np.int64) + number * count, 2).astype(np.uint64)
        return np.argsort(words[:, 0] << np.uint64(32) | words[:, 1], kind="stable")


def random_bytes(seed: int, stream: str, index_N: torch.Tensor, count: int) -> torch.Tensor:
    """Return uint8 [N, count] on the device of ``index_N``: each word of the stream cut into bytes, low byte first.

    Four times as many draws from a word, where eight bits are enough: dropout masks.
    """
    import torch

    blocks = -(-count // 16)
    pairs_NB2 = torch.empty((len(index_N), blocks, 2), dtype=torch.int64, device=index_N.device)
    rows = max(1, _TORCH_CHUNK_BLOCKS // max(1, blocks)) if index_N.device.type == "cpu" else len(index_N)
    room = torch.empty((4, min(rows, len(index_N)), blocks), dtype=torch.int64, device=index_N.device)
    for row in range(0, len(index_N), rows):
        index_N1 = index_N[row : row + rows, None]
        c0, c1, c2, c3 = room[:, : len(index_N1)].unbind()
        c0.copy_(index_N1 & _LOW_32), c1.copy_(index_N1 >> 32), c3.zero_()
        c2.copy_(torch.arange(blocks, device=index_N.device))
        c0, c1, c2, c3 = philox4x32((c0, c1, c2, c3), stream_key(seed, stream))
        pairs_NB2[row : row + rows, :, 0] = c1.bitwise_left_shift_(32).bitwise_or_(c0)
        pairs_NB2[row : row + rows, :, 1] = c3.bitwise_left_shift_(32).bitwise_or_(c2)
    return pairs_NB2.view(torch.uint8).reshape(len(index_N), -1)[:, :count]
