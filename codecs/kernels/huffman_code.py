"""Length-limited Huffman codes from counts, and their canonical codewords."""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Int64s, UInt64s
from slashbench.codecs.kernels import brief
from slashbench.codecs.kernels.prefix import MAX_LENGTH


@brief
def package_merge(leaves: Int64s, limit: int, lengths: Int64s) -> None:
    """Find codeword lengths, at most `limit`, of two or more symbols whose counts ascend."""
    n = leaves.size
    is_leaf = np.zeros((limit, 2 * n), np.bool_)
    coins = np.empty(2 * n, np.int64)
    packages = np.empty(n, np.int64)
    n_packages = 0
    for row in range(limit):
        leaf, package = 0, 0
        for i in range(n + n_packages):  # a leaf before a package of the same weight
            if leaf < n and (package >= n_packages or leaves[leaf] <= packages[package]):
                coins[i] = leaves[leaf]
                is_leaf[row, i] = True
                leaf += 1
            else:
                coins[i] = packages[package]
                package += 1
        n_packages = (n + n_packages) // 2
        for i in range(n_packages):
            packages[i] = coins[2 * i] + coins[2 * i + 1]
    # Buy the 2n - 2 lightest coins of the last row, and what their packages are made of.
    lengths[:] = 0
    wanted = 2 * n - 2
    for row in range(limit - 1, -1, -1):
        n_leaves = 0
        for i in range(wanted):
            n_leaves += is_leaf[row, i]
        for i in range(n_leaves):
            lengths[i] += 1
        wanted = 2 * (wanted - n_leaves)


@brief
def canonical(lengths: Int64s, codes: UInt64s) -> bool:
    """Codewords, least significant bit first; False unless the lengths make a complete code.

    A length of 0 is a symbol without a codeword. Read with the first bit as the most significant
    one, codewords count up, shortest first, within a length in symbol order.
    """
    number = np.zeros(MAX_LENGTH + 2, np.int64)
    for i in range(lengths.size):
        if lengths[i] < 0 or lengths[i] > MAX_LENGTH:
            return False
        number[lengths[i]] += 1
    number[0] = 0
    following = np.zeros(MAX_LENGTH + 2, np.int64)
    code: Any = np.int64(0)
    for length in range(1, MAX_LENGTH + 1):
        code = (code + number[length - 1]) << 1
        following[length] = code
    if code + number[MAX_LENGTH] != 1 << MAX_LENGTH:
        return False
    for i in range(lengths.size):
        length = lengths[i]
        if length > 0:
            code = following[length]
            following[length] += 1
            reverse = 0
            for _ in range(length):
                reverse = reverse << 1 | code & 1
                code >>= 1
            codes[i] = np.uint64(reverse)
    return True
