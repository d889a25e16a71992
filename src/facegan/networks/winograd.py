"""Convolutions with fewer multiplications: Winograd's minimal filtering (Lavin and Gray 2016, arXiv:1509.09308).

Instead of ``taps`` products for each output, a tile of ``tile`` outputs takes n = tile + taps - 1 products in each
direction: 49 instead of 225 for 3x3 outputs of a 5x5 kernel. Input tiles, kernel and output tiles change their basis
by small matrices before and after; what is left are n * n matrix products. A stride of 2 is a convolution of stride 1
over the four phases of the input. Equal to the direct algorithm but for rounding, in float32 about 1e-5 of the largest
value. Differentiable once: a second derivative, as a gradient penalty takes it, raises and needs the direct algorithm.

Legend: N samples, C input channels, O output channels, H height, W width, n points of a tile in one direction,
T tiles of all samples, K = n * n, F = stride * stride * C.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_POINTS = tuple(Fraction(text) for text in ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3"))


@functools.lru_cache(maxsize=64)
def cook_toom(
    tile: int, taps: int, dtype: torch.dtype = torch.float64, device: torch.device | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (A [tile, n], G [n, taps], B [n, n]): outputs = A @ ((G @ kernel) * (B @ inputs)) in one direction.

    Toom and Cook multiply polynomials by their values at n points, the last of them infinity; the transposed algorithm
    is a filter. Rows of B are scaled to a largest entry of 1, and G's the other way round.
    """
    count = tile + taps - 1
    if not tile >= 1 or count - 1 > len(_POINTS):
        raise ValueError(f"tile={tile} with {taps} taps needs {count - 1} points, there are {len(_POINTS)}")

    def powers(columns: int) -> Tensor:
        rows = [[float(point**power) for power in range(columns)] for point in _POINTS[: count - 1]]
        return torch.tensor([*rows, [0.0] * (columns - 1) + [1.0]], dtype=torch.float64)

    inverse = torch.linalg.inv(powers(count)).T
    scale = inverse.abs().amax(1, keepdim=True)
    matrices = (powers(tile).T, powers(taps) * scale, inverse / scale)
    A, G, B = (matrix.contiguous().to(device=device, dtype=dtype) for matrix in matrices)
    return A, G, B


@dataclass(frozen=True)
class Tiling:
    """How a convolution is cut into tiles; every method is linear, and has its adjoint beside it."""

    batch: int
    height: int
    width: int
    top: int
    """Rows of zeros above; those below follow from ``out_height``."""
    left: int
    out_height: int
    out_width: int
    kernel: int
    stride: int
    tile: int

    @property
    def taps(self) -> int:
        """Taps of the kernel in one phase of the input."""
        return -(-self.kernel // self.stride)

    @property
    def points(self) -> int:
        return self.tile + self.taps - 1

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.out_height // self.tile)

    @property
    def columns(self) -> int:
        return -(-self.out_width // self.tile)

    def matrices(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return cook_toom(self.tile, self.taps, like.dtype, like.device)

    def _padded_size(self) -> tuple[int, int]:
        more = self.points - self.tile
        return self.stride * (self.rows * self.tile + more), self.stride * (self.columns * self.tile + more)

    def _inside(self, padded_NHWC: Tensor) -> Tensor:
        """Return the part of the padded input that is the input, without rows that no output sees."""
        return padded_NHWC[:, self.top : self.top + self.height, self.left : self.left + self.width]

    def input_tiles(self, x_NHWC: Tensor) -> Tensor:
        """Return V [K, T, F]: every tile of the padded input, in the basis of the products."""
        height, width = self._padded_size()
        channels, n, s = x_NHWC.shape[3], self.points, self.stride
        padded = x_NHWC
        if (height, width) != (self.height, self.width) or self.top or self.left:
            padded = x_NHWC.new_empty(self.batch, height, width, channels)
            inside = self._inside(padded)
            bottom, right = self.top + inside.shape[1], self.left + inside.shape[2]
            for border in (padded[:, : self.top], padded[:, bottom:], padded[:, :, : self.left], padded[:, :, right:]):
                border.zero_()
            inside.copy_(x_NHWC[:, : inside.shape[1], : inside.shape[2]])
        phases = padded.reshape(self.batch, height // s, s, width // s, s, channels)
        tiles = phases.unfold(1, n, self.tile).unfold(3, n, self.tile)  # N, rows, s, columns, s, C, n, n
        tiles = tiles.permute(6, 7, 0, 1, 3, 2, 4, 5).reshape(n, -1)
        B = self.matrices(x_NHWC)[2]
        tiles = torch.matmul(B, (B @ tiles).view(n, n, -1))
        return tiles.view(n * n, -1, s * s * channels)

    def input_tiles_adjoint(self, V_KTF: Tensor) -> Tensor:
        """Return NHWC: the gradient of the input from that of ``input_tiles``; overlapping tiles add up."""
        height, width = self._padded_size()
        n, s, channels = self.points, self.stride, V_KTF.shape[2] // self.stride**2
        B_T = self.matrices(V_KTF)[2].T.contiguous()
        tiles = torch.matmul(B_T, (B_T @ V_KTF.reshape(n, -1)).view(n, n, -1))
        tiles = tiles.view(n, n, self.batch, self.rows, self.columns, s, s, channels)
        padded = V_KTF.new_zeros(self.batch, height, width, channels)
        phases = padded.view(self.batch, height // s, s, width // s, s, channels).permute(0, 1, 3, 2, 4, 5)
        last_row, last_column = (self.rows - 1) * self.tile + 1, (self.columns - 1) * self.tile + 1
        for row in range(n):
            for column in range(n):
                place = phases[:, row : row + last_row : self.tile, column : column + last_column : self.tile]
                place += tiles[row, column]
        inside = self._inside(padded)
        if inside.shape[1:3] == (self.height, self.width):
            return inside.contiguous()  # normalisation is several times slower on a part of a larger array
        whole = V_KTF.new_zeros(self.batch, self.height, self.width, channels)
        whole[:, : inside.shape[1], : inside.shape[2]] = inside
        return whole

    def output(self, M_KTO: Tensor, bias_O: Tensor | None = None) -> Tensor:
        """Return NHWC: the outputs of all tiles, put side by side."""
        m, channels = self.tile, M_KTO.shape[2]
        A = self.matrices(M_KTO)[0]
        tiles = (torch.kron(A, A) @ M_KTO.view(self.points**2, -1)).view(
            m, m, self.batch, self.rows, self.columns, channels
        )
        y = M_KTO.new_empty(self.batch, self.rows * m, self.columns * m, channels)
        places = y.view(self.batch, self.rows, m, self.columns, m, channels)
        tiles = tiles.permute(2, 3, 0, 4, 1, 5)
        if bias_O is None:
            places.copy_(tiles)
        else:
            torch.add(tiles, bias_O, out=places)
        return y[:, : self.out_height, : self.out_width].contiguous()

    def output_adjoint(self, y_NHWC: Tensor) -> Tensor:
        """Return [K, T, O]: the gradient of the products from that of ``output``."""
        m, channels = self.tile, y_NHWC.shape[3]
        below, right = self.rows * m - self.out_height, self.columns * m - self.out_width
        if below or right:
            y_NHWC = torch.nn.functional.pad(y_NHWC, (0, 0, 0, right, 0, below))
        tiles = y_NHWC.reshape(self.batch, self.rows, m, self.columns, m, channels).permute(2, 4, 0, 1, 3, 5)
        A = self.matrices(y_NHWC)[0]
        return (torch.kron(A, A).T.contiguous() @ tiles.reshape(m * m, -1)).view(self.points**2, -1, channels)

    def kernel_tiles(self, weight_OCkk: Tensor) -> Tensor:
        """Return U [K, O, F]: the kernel in the basis of the products."""
        G = self.matrices(weight_OCkk)[1]
        taps, s = self.taps, self.stride
        missing = taps * s - self.kernel
        weight = weight_OCkk.permute(0, 2, 3, 1)
        if missing:
            weight = torch.nn.functional.pad(weight, (0, 0, 0, missing, 0, missing))
        outputs, channels = weight.shape[0], weight.shape[3]
        weight = weight.reshape(outputs, taps, s, taps, s, channels).permute(1, 3, 0, 2, 4, 5).reshape(taps**2, -1)
        return (torch.kron(G, G) @ weight).view(self.points**2, outputs, s * s * channels)

    def kernel_tiles_adjoint(self, U_KOF: Tensor) -> Tensor:
        """Return the gradient of the kernel [O, C, k, k] from that of ``kernel_tiles``."""
        G = self.matrices(U_KOF)[1]
        taps, s, outputs = self.taps, self.stride, U_KOF.shape[1]
        weight = torch.kron(G, G).T.contiguous() @ U_KOF.view(self.points**2, -1)
        weight = weight.view(taps, taps, outputs, s, s, -1).permute(2, 0, 3, 1, 4, 5)
        weight = weight.reshape(outputs, taps * s, taps * s, -1)[:, : self.kernel, : self.kernel]
        return weight.contiguous().permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """x [N, C, H, W], weight [O, C, k, k] -> y [N, O, h, w]."""

    @staticmethod
    def forward(ctx, x_NCHW: Tensor, weight: Tensor, bias: Tensor | None, tiling: Tiling) -> Tensor:  # type: ignore[no-untyped-def]
        V = tiling.input_tiles(x_NCHW.permute(0, 2, 3, 1))
        U = tiling.kernel_tiles(weight)
        ctx.tiling = tiling
        ctx.save_for_backward(V if ctx.needs_input_grad[1] else None, U if ctx.needs_input_grad[0] else None)
        return tiling.output(torch.bmm(V, U.transpose(1, 2)), bias).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable  # what is saved is no function of x and weight any more
    def backward(ctx, dy_NCHW: Tensor):  # type: ignore[no-untyped-def]
        V, U = ctx.saved_tensors
        dM = ctx.tiling.output_adjoint(dy_NCHW.permute(0, 2, 3, 1))
        dx = dweight = dbias = None
        if V is not None:
            dweight = ctx.tiling.kernel_tiles_adjoint(torch.bmm(dM.transpose(1, 2), V))
        if U is not None:
            dx = ctx.tiling.input_tiles_adjoint(torch.bmm(dM, U)).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            dbias = dy_NCHW.sum((0, 2, 3))
        return dx, dweight, dbias, None


class _TransposedConvolution(torch.autograd.Function):
    """The adjoint of ``_Convolution`` in x: y [N, O, h, w], weight [O, C, k, k] -> x [N, C, H, W]."""

    @staticmethod
    def forward(ctx, y_NCHW: Tensor, weight: Tensor, tiling: Tiling) -> Tensor:  # type: ignore[no-untyped-def]
        M = tiling.output_adjoint(y_NCHW.permute(0, 2, 3, 1))
        U = tiling.kernel_tiles(weight)
        ctx.tiling = tiling
        ctx.save_for_backward(M if ctx.needs_input_grad[1] else None, U if ctx.needs_input_grad[0] else None)
        return tiling.input_tiles_adjoint(torch.bmm(M, U)).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, dx_NCHW: Tensor):  # type: ignore[no-untyped-def]
        M, U = ctx.saved_tensors
        V = ctx.tiling.input_tiles(dx_NCHW.permute(0, 2, 3, 1))
        dy = dweight = None
        if M is not None:
            dweight = ctx.tiling.kernel_tiles_adjoint(torch.bmm(M.transpose(1, 2), V))
        if U is not None:
            dy = ctx.tiling.output(torch.bmm(V, U.transpose(1, 2))).permute(0, 3, 1, 2)
        return dy, dweight, None


def convolve(
    x_NCHW: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int = 1,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    tile: int,
) -> Tensor:
    """Return ``conv2d`` of x [N, C, H, W] with a square kernel, by tiles of ``tile`` outputs in each direction.

    ``padding`` is (top, bottom, left, right), in pixels of zeros.
    """
    samples, _, height, width = x_NCHW.shape
    kernel, (top, bottom, left, right) = weight.shape[2], padding
    out_height = (height + top + bottom - kernel) // stride + 1
    out_width = (width + left + right - kernel) // stride + 1
    tiling = Tiling(samples, height, width, top, left, out_height, out_width, kernel, stride, tile)
    return _Convolution.apply(x_NCHW, weight, bias, tiling)


def convolve_transposed(x_NCHW: Tensor, weight: Tensor, *, stride: int, padding: int, tile: int) -> Tensor:
    """Return ``conv_transpose2d`` of x [N, C, H, W] with a square kernel [C, O, k, k], by tiles of x."""
    samples, _, height, width = x_NCHW.shape
    kernel = weight.shape[2]
    out_height = (height - 1) * stride - 2 * padding + kernel
    out_width = (width - 1) * stride - 2 * padding + kernel
    tiling = Tiling(samples, out_height, out_width, padding, padding, height, width, kernel, stride, tile)
    return _TransposedConvolution.apply(x_NCHW, weight, tiling)
