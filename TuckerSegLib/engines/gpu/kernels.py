"""Inner loops for NVIDIA's GPUs, compiled by Triton while the program runs.

A patch is a matrix (voxels, channels) in half precision. Sums are taken in single precision, by a fixed number of
programs whose parts are added in a fixed order, so that results repeat. Triton takes no annotations but its own.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code=import-not-found

import torch
import triton
import triton.language as tl
from torch import Tensor

_PARTS = 256
"""Programs that add up a matrix's rows, each some of them."""


@triton.jit  # type: ignore[untyped-decorator]
def _moments(z, sums, products, voxels, rank: tl.constexpr, wide: tl.constexpr, rows: tl.constexpr):
    """Sums (parts, wide) of the rows of `z` (voxels, rank), and of their products (parts, wide, wide)."""
    part = tl.program_id(0)
    parts = tl.num_programs(0)
    column = tl.arange(0, wide)
    total = tl.zeros((wide,), tl.float32)
    square = tl.zeros((wide, wide), tl.float32)
    for start in range(part * rows, voxels, parts * rows):
        row = start + tl.arange(0, rows)
        inside = (row[:, None] < voxels) & (column[None, :] < rank)
        found = tl.load(z + row[:, None].to(tl.int64) * rank + column[None, :], mask=inside, other=0.0)
        total += tl.sum(found.to(tl.float32), 0)
        square += tl.dot(tl.trans(found), found)
    tl.store(sums + part * wide + column, total)
    place = column[:, None] * wide + column[None, :]
    tl.store(products + part * wide * wide + place, square)


@triton.jit  # type: ignore[untyped-decorator]
def _fold(
    sums,
    products,
    weight,
    gain,
    offset,
    folded,
    shift,
    voxels,
    channels,
    eps,
    rank: tl.constexpr,
    wide: tl.constexpr,
    some: tl.constexpr,
):
    """*last* (channels, rank) with the norm in it: `folded` (wide, channels) in half precision and `shift`."""
    channel = tl.program_id(0) * some + tl.arange(0, some)
    column = tl.arange(0, wide)
    known = channel < channels
    mean = tl.load(sums + column) / voxels
    row = tl.load(
        weight + channel[:, None] * rank + column[None, :], mask=known[:, None] & (column[None, :] < rank), other=0.0
    )
    variance = tl.zeros((some,), tl.float32)
    for start in range(0, wide, 16):
        few = start + tl.arange(0, 16)
        square = tl.load(products + column[:, None] * wide + few[None, :]) / voxels
        covariance = square - mean[:, None] * (tl.load(sums + few) / voxels)[None, :]
        part = tl.load(
            weight + channel[:, None] * rank + few[None, :], mask=known[:, None] & (few[None, :] < rank), other=0.0
        )
        variance += tl.sum(tl.dot(row, covariance, input_precision="ieee") * part, 1)
    scale = tl.load(gain + channel, mask=known, other=0.0) / tl.sqrt(tl.maximum(variance, 0.0) + eps)
    centre = tl.sum(row * mean[None, :], 1)
    tl.store(shift + channel, tl.load(offset + channel, mask=known, other=0.0) - scale * centre, mask=known)
    there = column[None, :] * channels + channel[:, None]
    tl.store(folded + there, (row * scale[:, None]).to(folded.dtype.element_ty), mask=known[:, None])


@triton.jit  # type: ignore[untyped-decorator]
def _given(answer, made, bias, row, inside, column, width: tl.constexpr):
    """Stores `made` and `bias`, the first `width` columns of some rows."""
    made = (made + tl.load(bias + column)[None, :]).to(answer.dtype.element_ty)
    there = answer + row[:, None] * width + column[None, :]
    tl.store(there, made, mask=inside[:, None] & (column[None, :] < width))


# fmt: off
@triton.jit  # type: ignore[untyped-decorator]
def _block(
    z, folded, shift, first, first_bias, first_answer, second, second_bias, second_answer, whole, voxels,
    slope: tl.constexpr, rank: tl.constexpr, wide: tl.constexpr, channels: tl.constexpr, some: tl.constexpr,
    first_width: tl.constexpr, first_wide: tl.constexpr, second_width: tl.constexpr, second_wide: tl.constexpr,
    keeps: tl.constexpr, rows: tl.constexpr,
):
    # fmt: on
    """leaky(z folded + shift) for some rows, `some` channels at a time, into up to two consumers and `whole`."""
    row = (tl.program_id(0) * rows + tl.arange(0, rows)).to(tl.int64)
    inside = row < voxels
    column = tl.arange(0, wide)
    known = inside[:, None] & (column[None, :] < rank)
    found = tl.load(z + row[:, None] * rank + column[None, :], mask=known, other=0.0)
    one, two = tl.arange(0, first_wide), tl.arange(0, second_wide)
    first_sum = tl.zeros((rows, first_wide), tl.float32)
    second_sum = tl.zeros((rows, second_wide), tl.float32)
    for start in range(0, channels, some):
        channel = start + tl.arange(0, some)
        real = channel < channels
        matrix = tl.load(folded + column[:, None] * channels + channel[None, :], mask=real[None, :], other=0.0)
        y = tl.dot(found, matrix) + tl.load(shift + channel, mask=real, other=0.0)[None, :]
        y = tl.where(y > 0, y, y * slope).to(z.dtype.element_ty)
        if keeps:
            tl.store(whole + row[:, None] * channels + channel[None, :], y, mask=inside[:, None] & real[None, :])
        if first_width > 0:
            taken = tl.load(first + channel[:, None] * first_wide + one[None, :], mask=real[:, None], other=0.0)
            first_sum += tl.dot(y, taken)
        if second_width > 0:
            taken = tl.load(second + channel[:, None] * second_wide + two[None, :], mask=real[:, None], other=0.0)
            second_sum += tl.dot(y, taken)
    if first_width > 0:
        _given(first_answer, first_sum, first_bias, row, inside, one, first_width)
    if second_width > 0:
        _given(second_answer, second_sum, second_bias, row, inside, two, second_width)


@triton.jit  # type: ignore[untyped-decorator]
def _spread(y, sums, squares, voxels, channels, some: tl.constexpr, rows: tl.constexpr):
    """Sums (parts, channels) of the rows of `y` (voxels, channels), and of their squares."""
    part = tl.program_id(0)
    parts = tl.num_programs(0)
    channel = tl.program_id(1) * some + tl.arange(0, some)
    known = channel < channels
    total = tl.zeros((rows, some), tl.float32)
    square = tl.zeros((rows, some), tl.float32)
    for start in range(part * rows, voxels, parts * rows):
        row = start + tl.arange(0, rows)
        inside = (row[:, None] < voxels) & known[None, :]
        found = tl.load(y + row[:, None].to(tl.int64) * channels + channel[None, :], mask=inside, other=0.0).to(
            tl.float32
        )
        total += found
        square += found * found
    tl.store(sums + part * channels + channel, tl.sum(total, 0), mask=known)
    tl.store(squares + part * channels + channel, tl.sum(square, 0), mask=known)


@triton.jit  # type: ignore[untyped-decorator]
def _scaled(
    y,
    answer,
    sums,
    squares,
    gain,
    offset,
    voxels,
    channels,
    eps,
    slope: tl.constexpr,
    some: tl.constexpr,
    rows: tl.constexpr,
):
    """leaky(norm(y)) of some rows and channels, from the sums (channels,) of all."""
    channel = tl.program_id(1) * some + tl.arange(0, some)
    known = channel < channels
    mean = tl.load(sums + channel, mask=known, other=0.0) / voxels
    variance = tl.load(squares + channel, mask=known, other=1.0) / voxels - mean * mean
    scale = tl.load(gain + channel, mask=known, other=0.0) / tl.sqrt(tl.maximum(variance, 0.0) + eps)
    shift = tl.load(offset + channel, mask=known, other=0.0) - scale * mean
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    inside = (row[:, None] < voxels) & known[None, :]
    place = row[:, None].to(tl.int64) * channels + channel[None, :]
    found = tl.load(y + place, mask=inside, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    found = tl.where(found > 0, found, found * slope)
    tl.store(answer + place, found.to(answer.dtype.element_ty), mask=inside)


def moments(z: Tensor, wide: int) -> tuple[Tensor, Tensor]:
    """Sums (wide,) of the rows of `z` (voxels, rank), and of their products (wide, wide), in single precision."""
    voxels, rank = z.shape
    rows = 64 if wide <= 64 else 32
    parts = min(_PARTS, triton.cdiv(voxels, rows))
    sums = torch.empty(parts, wide, device=z.device, dtype=torch.float32)
    products = torch.empty(parts, wide, wide, device=z.device, dtype=torch.float32)
    _moments[(parts,)](z, sums, products, voxels, rank, wide, rows)
    return sums.sum(0), products.sum(0)


def fold(
    found: tuple[Tensor, Tensor], voxels: int, weight: Tensor, gain: Tensor, offset: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """*last* (channels, rank) with its norm folded in: (wide, channels) in half precision, and a shift (channels,).

    Its bias is left out: the norm takes it away again.
    """
    sums, products = found
    channels, rank = weight.shape
    wide, some = len(sums), 16
    folded = torch.empty(wide, channels, device=weight.device, dtype=torch.half)
    shift = torch.empty(channels, device=weight.device, dtype=torch.float32)
    grid = (triton.cdiv(channels, some),)
    _fold[grid](
        sums, products, weight, gain, offset, folded, shift, voxels, channels, eps, rank, wide, some
    )  # fmt: skip
    return folded, shift


def block(
    z: Tensor,
    folded: Tensor,
    shift: Tensor,
    slope: float,
    consumers: list[tuple[Tensor, Tensor, Tensor]],
    whole: Tensor | None,
) -> None:
    """leaky(z folded + shift), into `whole` (voxels, channels) and through at most two consumers.

    A consumer is its matrix (channels, wide), its bias (wide,), and where its answer goes, (voxels, width).
    """
    voxels, rank = z.shape
    wide, channels = folded.shape
    first, second = [*consumers, None, None][:2]
    widths = [(one[2].shape[1], one[0].shape[1]) if one else (0, 16) for one in (first, second)]
    rows, some = (128, 32) if max(wide, widths[0][1], widths[1][1]) <= 64 else (64, 32)
    none = (z, z, z)
    grid = (triton.cdiv(voxels, rows),)
    _block[grid](
        z, folded, shift, *(first or none), *(second or none), z if whole is None else whole, voxels,
        slope, rank, wide, channels, some, *widths[0], *widths[1], whole is not None, rows,
    )  # fmt: skip


def normalised(y: Tensor, gain: Tensor, offset: Tensor, eps: float, slope: float, answer: Tensor) -> None:
    """leaky(norm(y)) of `y` (voxels, channels) into `answer`, which may be `y`."""
    voxels, channels = y.shape
    some = min(64, max(16, int(triton.next_power_of_2(channels))))
    rows = 4096 // some
    blocks = triton.cdiv(channels, some)
    parts = min(_PARTS, triton.cdiv(voxels, rows))
    sums = torch.empty(2, parts, channels, device=y.device, dtype=torch.float32)
    _spread[(parts, blocks)](y, sums[0], sums[1], voxels, channels, some, rows)
    total = sums.sum(1)
    grid = (triton.cdiv(voxels, rows), blocks)
    _scaled[grid](y, answer, total[0], total[1], gain, offset, voxels, channels, eps, slope, some, rows)
