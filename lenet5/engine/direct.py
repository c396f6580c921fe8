"""Convolution at stride 1 without im2col, pattern by pattern."""

import numpy as np

from .im2col import col2im_numpy, im2col_numpy
from .jit import kernel
from .planes import conv_plane, conv_plane_back

__all__ = ["conv", "conv_back"]


def _conv_numpy(
    x: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, bias: np.ndarray, line: np.ndarray,
    y: np.ndarray,
) -> None:  # fmt: skip
    dense = _dense(w, starts, channels, x.shape[1])
    n, o, ho, wo = y.shape
    cols = np.empty((n, dense.shape[1], ho * wo), x.dtype)
    im2col_numpy(x, w.shape[1:], (1, 1), (0, 0), (ho, wo), cols)
    y[...] = (dense @ cols).reshape(y.shape) + bias[:, None, None]


@kernel(twin=_conv_numpy)
def conv(
    x: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, bias: np.ndarray, line: np.ndarray,
    y: np.ndarray,
) -> None:  # fmt: skip
    """y[n, o] = bias[o] + sum_m w[m] * x[n, channels[m]] over the kernels m of map o.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    w : ndarray (M, kh, kw)
        Kernels, map by map; those of map o are starts[o] to starts[o+1].
    starts : int64 ndarray (O+1,)
    channels : int64 ndarray (M,)
    bias : ndarray (O,)
    line : ndarray (room_for_planes((C, H, W), (kh, kw)),)
        Room to work in.
    y : ndarray (N, O, H-kh+1, W-kw+1)
        Overwritten.
    """
    flat = x.reshape(x.size)
    for n in range(len(x)):
        conv_plane(
            flat, n * flat.size // len(x), x.shape[1:], w.reshape(w.size), 0, w.shape[1:], starts, channels, bias, 0,
            y.reshape(y.size), n * y.size // len(y), y.shape[1:], line,
        )  # fmt: skip


def _conv_back_numpy(
    x: np.ndarray, v: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, line: np.ndarray,
    g_w: np.ndarray, g_b: np.ndarray, vx: np.ndarray, to_input: bool,
) -> None:  # fmt: skip
    dense = _dense(w, starts, channels, x.shape[1])
    n, o, ho, wo = v.shape
    flat = v.reshape(n, o, ho * wo)
    cols = np.empty((n, dense.shape[1], ho * wo), x.dtype)
    im2col_numpy(x, w.shape[1:], (1, 1), (0, 0), (ho, wo), cols)
    g_dense = (flat @ cols.transpose(0, 2, 1)).sum(axis=0).reshape(o, x.shape[1], *w.shape[1:])
    g_w[...] = g_dense[np.repeat(np.arange(o), np.diff(starts)), channels]
    g_b[...] = flat.sum(axis=(0, 2))
    if to_input:
        col2im_numpy(dense.T @ flat, w.shape[1:], (1, 1), (0, 0), (ho, wo), vx)


@kernel(twin=_conv_back_numpy)
def conv_back(
    x: np.ndarray, v: np.ndarray, w: np.ndarray, starts: np.ndarray, channels: np.ndarray, line: np.ndarray,
    g_w: np.ndarray, g_b: np.ndarray, vx: np.ndarray, to_input: bool,
) -> None:  # fmt: skip
    """Transpose of `conv`: g_w[m] = sum of v[n, o] times x under kernel m, g_b[o] = sum of v[n, o], and vx.

    Parameters
    ----------
    x, w, starts, channels, line
        As for `conv`.
    v : ndarray (N, O, Ho, Wo)
    g_w : ndarray (M, kh, kw), overwritten
    g_b : ndarray (O,), overwritten
    vx : ndarray (N, C, H, W)
        Overwritten if `to_input`; else any array will do.
    to_input : bool
    """
    flat, kernels, g = x.reshape(x.size), w.reshape(w.size), g_w.reshape(g_w.size)
    g_w[...] = 0
    g_b[...] = 0
    for n in range(len(x)):
        conv_plane_back(
            flat, n * x.size // len(x), x.shape[1:], kernels, 0, w.shape[1:], starts, channels,
            v.reshape(v.size), n * v.size // len(v), v.shape[1:], g, 0, g_b, 0, vx.reshape(vx.size), to_input, line,
        )  # fmt: skip


def _dense(w: np.ndarray, starts: np.ndarray, channels: np.ndarray, c_count: int) -> np.ndarray:
    """Return the kernels as (O, C*kh*kw), with zeros where there is none."""
    o_count = len(starts) - 1
    dense = np.zeros((o_count, c_count, *w.shape[1:]), w.dtype)
    dense[np.repeat(np.arange(o_count), np.diff(starts)), channels] = w
    return dense.reshape(o_count, -1)
