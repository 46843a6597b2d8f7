"""Counter-based random bits: the n-th draw is a pure function of (key, counter).

Philox4x32-10 of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as
1, 2, 3" (SC 2011). A stateful generator would make a clip depend on the clips drawn
before it; with counters, clip number ``i`` is the same for any batch size, worker
count, rank or device, and a resumed run needs no stored state.
"""

import hashlib

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK32 = np.uint64(0xFFFFFFFF)
_SHIFT32 = np.uint64(32)
_ROUNDS = 10


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Random bits for each counter.

    Args:
        counter: unsigned integers ``(..., 4)``, each below 2**32.
        key: two unsigned 32-bit integers.

    Returns:
        uint32 ``(..., 4)``, uniform and independent between counters and keys.
    """
    c0, c1, c2, c3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0 = _MULTIPLIERS[0] * c0  # 32 x 32 -> 64 bits, never overflows
        product1 = _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT32) ^ c1 ^ np.uint64(k0),
            product1 & _MASK32,
            (product0 >> _SHIFT32) ^ c3 ^ np.uint64(k1),
            product0 & _MASK32,
        )
        k0 = (k0 + _WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def stream_key(*parts: int | str) -> tuple[int, int]:
    """A key of its own for every purpose, such as ``stream_key(seed, "train")``."""
    text = "/".join(str(part) for part in parts)
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def uniform(index: np.ndarray, draws: int, key: tuple[int, int]) -> np.ndarray:
    """Uniform numbers of [0, 1) with 53 random bits.

    Args:
        index: integers ``(N,)``, the numbers of the items (clips), 0 .. 2**64 - 1.
        draws: how many numbers each item gets.
        key: from `stream_key`.

    Returns:
        float64 ``(N, draws)``; row ``n`` depends on ``key`` and ``index[n]`` alone.
    """
    index = np.asarray(index, dtype=np.uint64)
    blocks = (draws + 1) // 2  # a block of four words makes two 53-bit numbers
    counter = np.empty((index.size, blocks, 4), dtype=np.uint64)
    counter[..., 0] = np.arange(blocks, dtype=np.uint64)
    counter[..., 1] = 0
    counter[..., 2] = (index & _MASK32)[:, None]
    counter[..., 3] = (index >> _SHIFT32)[:, None]
    words = philox4x32(counter, key).reshape(index.size, 2 * blocks, 2)
    high = (words[..., 0] >> np.uint32(5)).astype(np.float64)  # 27 bits
    low = (words[..., 1] >> np.uint32(6)).astype(np.float64)  # 26 bits
    return ((high * 2.0**26 + low) / 2.0**53)[:, :draws]
