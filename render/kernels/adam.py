"""Adam over a slice of the flat parameter vector, merging the threads' gradients on the way."""

from typing import no_type_check

import numpy as np

from render.kernels.adam_vectors import adam_vectors
from render.kernels.jit import kernel

_BLOCK = 2048
"""Values handled at a time: they stay in the first-level cache between the two loops."""


@kernel
@no_type_check
def adam(
    lo: int,
    hi: int,
    theta: np.ndarray,
    grads: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    ema: np.ndarray,
    rate: float,
    beta1: float,
    beta2: float,
    correction1: float,
    correction2: float,
    epsilon: float,
    decay: float,
    ema_decay: float,
    sparse: bool,
) -> None:
    """One step on theta[lo:hi]; grads is [threads, n] and is left zero.

    sparse: a parameter without gradient is not touched at all (tiny-cuda-nn's rule for hash tables:
    an entry no point fell on has nothing to learn). decay is decoupled (AdamW). correction1,
    correction2 = 1 - beta^t. ema follows theta with ema_decay; 1 leaves it alone, and memory
    unread.
    """
    threads = grads.shape[0]
    r = np.float32(rate / correction1)
    root = np.float32(1.0 / np.sqrt(correction2))
    c1, c2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    eps = np.float32(epsilon)
    shrink = np.float32(rate * decay)
    e1 = np.float32(1.0 - ema_decay)
    sum_of = grads[0]
    for begin in range(lo, hi, _BLOCK):
        end = min(begin + _BLOCK, hi)
        for t in range(1, threads):
            other = grads[t]
            for i in range(begin, end):
                sum_of[i] += other[i]
                other[i] = 0.0
        whole = begin + (end - begin) // 8 * 8
        adam_vectors(
            begin, whole, theta, sum_of, first, second, c1, c2, r, root, eps, shrink, sparse
        )
        for i in range(whole, end):
            g = sum_of[i]
            sum_of[i] = 0.0
            if g == 0.0 and sparse:
                continue
            m = first[i] + c1 * (g - first[i])
            v = second[i] + c2 * (g * g - second[i])
            first[i] = m
            second[i] = v
            w = theta[i]
            theta[i] = w - (shrink * w + r * m / (np.sqrt(v) * root + eps))
    if e1 > 0.0:
        for i in range(lo, hi):
            ema[i] += e1 * (theta[i] - ema[i])
