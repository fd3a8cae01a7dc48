"""How one cell is made: train, transform, quantize, compress, decode, evaluate, time."""
