"""Adam over a slice of the flat parameter vector, merging the threads' gradients on the way."""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel


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
    b1, b2 = np.float32(beta1), np.float32(beta2)
    c1, c2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    eps = np.float32(epsilon)
    keep = np.float32(1.0 - rate * decay)
    e1 = np.float32(1.0 - ema_decay)
    for i in range(lo, hi):
        g = np.float32(0.0)
        for t in range(threads):
            if grads[t, i] != 0.0:
                g += grads[t, i]
                grads[t, i] = 0.0
        if not sparse or g != 0.0:
            m = b1 * first[i] + c1 * g
            v = b2 * second[i] + c2 * g * g
            first[i] = m
            second[i] = v
            theta[i] = theta[i] * keep - r * m / (np.sqrt(v) * root + eps)
    if e1 > 0.0:
        for i in range(lo, hi):
            ema[i] += e1 * (theta[i] - ema[i])
