"""What the quantiser `trellis` saves at equal error, in bytes of streams of real matrices.

    python -m tests.speed.trellis_gain [--every 4]

Each matrix of MiniLM's encoder is quantized by `rdoq` and by `trellis` at several steps, and coded
by `rans-classes`, tables and all. The bits of `rdoq` at the error of `trellis` are interpolated
between steps, on the logarithm of the error, for the best of three multipliers. Every `--every`th
matrix is taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from safetensors.numpy import load_file

from slashbench.bench.models import minilm
from slashbench.codecs.rans_classes import RansClasses
from slashbench.contracts import Quantiser
from slashbench.trainers.quantisers.rdoq import Rdoq
from slashbench.trainers.quantisers.trellis import Trellis

Curve = list[tuple[float, float]]  # (log2 of the mean squared error, bits a weight)

RDOQ_STEPS = tuple(np.geomspace(0.3, 3.2, 9).tolist())
TRELLIS_STEPS = (0.25, 0.4, 0.6, 0.85, 1.15, 1.4)
LAMBDAS = (0.08, 0.1155, 0.16)
TRELLIS_LAMBDAS = (0.2, 0.35, 0.5)


def matrices(every: int) -> list[np.ndarray]:
    """Weight matrices of the encoder, in order of name."""
    weights = load_file(minilm.weights_file())
    found = [w for n, w in sorted(weights.items()) if n.startswith("encoder.") and w.ndim == 2]
    return found[::every]


def point(quantiser: Quantiser, found: list[np.ndarray]) -> tuple[float, float]:
    """Error relative to the variance, over all matrices, and bits a weight."""
    error = n_bytes = 0.0
    for weight in found:
        quantized = quantiser.quantize("w", weight)
        assert quantized is not None
        distances = quantized.dequantize().astype(np.float64) - weight
        error += float(np.square(distances).sum()) / float(weight.var())
        n_bytes += len(RansClasses().encode(quantized.values))
    n = sum(weight.size for weight in found)
    return float(np.log2(error / n)), 8 * n_bytes / n


def curves(found: list[np.ndarray]) -> Iterator[Curve]:
    """Of `rdoq`, one for each multiplier."""
    for lam in LAMBDAS:
        yield sorted(point(Rdoq(lam, step, "std"), found) for step in RDOQ_STEPS)


def main() -> None:
    """Print bits a weight at equal error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=4)
    found = matrices(parser.parse_args().every)
    print(f"{len(found)} matrices of all-MiniLM-L6-v2, {sum(w.size for w in found):,} weights")
    scalar = list(curves(found))
    for states in (4, 8):
        for step in TRELLIS_STEPS:
            best = ""
            least = -np.inf
            for lam in TRELLIS_LAMBDAS:
                error, bits = point(Trellis(lam, step, states, "std"), found)
                at_equal = min(float(np.interp(error, *zip(*c, strict=True))) for c in scalar)
                if at_equal - bits > least:
                    least = at_equal - bits
                    best = (
                        f"{states} states, step {step}, lam {lam}: SNR {-3.0103 * error:.2f} dB, "
                        f"trellis {bits:.4f}, rdoq {at_equal:.4f}, saved {least:.4f} bit"
                    )
            print(best, flush=True)


if __name__ == "__main__":
    main()
