"""Convolution as a matrix product: lay out every receptive field as a column, and add columns back."""

import numpy as np

from .jit import kernel

__all__ = ["col2im", "im2col"]


def im2col_numpy(
    x: np.ndarray, kernel_size: tuple[int, int], stride: tuple[int, int], before: tuple[int, int],
    out_size: tuple[int, int], cols: np.ndarray,
) -> None:  # fmt: skip
    (kh, kw), (sh, sw), (ho, wo) = kernel_size, stride, out_size
    padded = _padded(x, kernel_size, stride, before, out_size)
    fields = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))[:, :, ::sh, ::sw]
    fields = fields[:, :, :ho, :wo].transpose(0, 1, 4, 5, 2, 3)
    cols[...] = fields.reshape(cols.shape)


@kernel(twin=im2col_numpy)
def im2col(
    x: np.ndarray, kernel_size: tuple[int, int], stride: tuple[int, int], before: tuple[int, int],
    out_size: tuple[int, int], cols: np.ndarray,
) -> None:  # fmt: skip
    """cols[n, (c,i,j), (r,s)] = x[n, c, r*stride + i - before, s*stride + j - before], 0 outside x.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    kernel_size, stride, before, out_size : (int, int)
        Kernel height and width; step between positions; zeros put above and left of x; positions.
    cols : ndarray (N, C*kh*kw, Ho*Wo), of x's dtype
        Overwritten.
    """
    n_images, channels, height, width = x.shape
    kh, kw = kernel_size
    sh, sw = stride
    top, left = before
    ho, wo = out_size
    for n in range(n_images):
        for c in range(channels):
            for i in range(kh):
                for j in range(kw):
                    k = (c * kh + i) * kw + j
                    # The positions s whose input column s*sw + j - left lies inside x.
                    first = min(max(0, -((j - left) // sw)), wo)
                    last = max(first, min(wo, (width - 1 + left - j) // sw + 1))
                    for r in range(ho):
                        p, row = r * wo, r * sh + i - top
                        if row < 0 or row >= height:
                            cols[n, k, p : p + wo] = 0
                            continue
                        cols[n, k, p : p + first] = 0
                        for s in range(first, last):
                            cols[n, k, p + s] = x[n, c, row, s * sw + j - left]
                        cols[n, k, p + last : p + wo] = 0


def col2im_numpy(
    cols: np.ndarray, kernel_size: tuple[int, int], stride: tuple[int, int], before: tuple[int, int],
    out_size: tuple[int, int], x: np.ndarray,
) -> None:  # fmt: skip
    (kh, kw), (sh, sw), (top, left), (ho, wo) = kernel_size, stride, before, out_size
    padded = np.zeros_like(_padded(x, kernel_size, stride, before, out_size))
    fields = cols.reshape(x.shape[0], x.shape[1], kh, kw, ho, wo)
    for i in range(kh):
        for j in range(kw):
            padded[:, :, i : i + ho * sh : sh, j : j + wo * sw : sw] += fields[:, :, i, j]
    x[...] = padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]


@kernel(twin=col2im_numpy)
def col2im(
    cols: np.ndarray, kernel_size: tuple[int, int], stride: tuple[int, int], before: tuple[int, int],
    out_size: tuple[int, int], x: np.ndarray,
) -> None:  # fmt: skip
    """Transpose of `im2col`: x[n, c, row, col] = sum of the entries of cols that were read from there.

    Parameters
    ----------
    cols : ndarray (N, C*kh*kw, Ho*Wo)
    kernel_size, stride, before, out_size : (int, int)
        As for `im2col`.
    x : ndarray (N, C, H, W)
        Overwritten.
    """
    n_images, channels, height, width = x.shape
    kh, kw = kernel_size
    sh, sw = stride
    top, left = before
    ho, wo = out_size
    x[...] = 0
    for n in range(n_images):
        for c in range(channels):
            for i in range(kh):
                for j in range(kw):
                    k = (c * kh + i) * kw + j
                    first = min(max(0, -((j - left) // sw)), wo)
                    last = max(first, min(wo, (width - 1 + left - j) // sw + 1))
                    for r in range(ho):
                        row = r * sh + i - top
                        if 0 <= row < height:
                            for s in range(first, last):
                                x[n, c, row, s * sw + j - left] += cols[n, k, r * wo + s]


def _padded(
    x: np.ndarray, kernel_size: tuple[int, int], stride: tuple[int, int], before: tuple[int, int],
    out_size: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """Return x with zeros around it, large enough for every receptive field."""
    pads = [(0, 0), (0, 0)]
    for axis in (0, 1):
        reach = (out_size[axis] - 1) * stride[axis] + kernel_size[axis]
        pads.append((before[axis], max(0, reach - before[axis] - x.shape[2 + axis])))
    return np.pad(x, pads)
