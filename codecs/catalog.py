"""Every codec by name. A new one is its own file and one line here, or an entry point elsewhere."""

from __future__ import annotations

from typing import Any

from slashbench.registry import Registry

CODECS: Registry[Any] = Registry("codec", group="slashbench.codecs")

CODECS.lazy("entropy", "slashbench.codecs.entropy:Entropy")
CODECS.lazy("pack", "slashbench.codecs.pack:Pack")
CODECS.lazy("exp-golomb", "slashbench.codecs.exp_golomb:ExpGolomb")
CODECS.lazy("golomb-rice", "slashbench.codecs.golomb_rice:GolombRice")
CODECS.lazy("elias-gamma", "slashbench.codecs.elias:EliasGamma")
CODECS.lazy("elias-delta", "slashbench.codecs.elias:EliasDelta")
CODECS.lazy("huffman", "slashbench.codecs.huffman:Huffman")
CODECS.lazy("rans", "slashbench.codecs.rans:Rans")
CODECS.lazy("rans-ggd", "slashbench.codecs.rans_ggd:RansGgd")
CODECS.lazy("max", "slashbench.codecs.scale_classes:ScaleClasses")
CODECS.lazy("float-huffman", "slashbench.codecs.floats:FloatHuffman")
CODECS.lazy("float-rans", "slashbench.codecs.floats:FloatRans")
CODECS.lazy("range", "slashbench.codecs.range_coder:RangeCoder", needs="constriction")
CODECS.lazy("ans", "slashbench.codecs.ans:Ans", needs="constriction")
CODECS.lazy("zstd", "slashbench.codecs.zstd:Zstd", needs="zstandard")
