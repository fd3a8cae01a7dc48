"""Every codec by name. A new one is its own file and one line here, or an entry point elsewhere."""

from __future__ import annotations

from typing import Any

from slashbench.registry import Registry

_PEERS = "pip install 'slashbench[peers]'"

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
CODECS.lazy("rans-classes", "slashbench.codecs.rans_classes:RansClasses")
CODECS.lazy("sparse", "slashbench.codecs.sparse:Sparse")
CODECS.lazy("fields", "slashbench.codecs.fields:Fields")
CODECS.lazy("palette", "slashbench.codecs.palette:Palette")
CODECS.lazy("float-huffman", "slashbench.codecs.floats:FloatHuffman")
CODECS.lazy("float-rans", "slashbench.codecs.floats:FloatRans")
CODECS.lazy("float-classes", "slashbench.codecs.float_classes:FloatClasses")
CODECS.lazy("range", "slashbench.codecs.range_coder:RangeCoder", needs="constriction")
CODECS.lazy("ans", "slashbench.codecs.ans:Ans", needs="constriction")
CODECS.lazy("zstd", "slashbench.codecs.zstd:Zstd", needs="zstandard")

#: Codecs with a base: what is coded is a difference from a tensor that the decoder has.
DELTAS: Registry[Any] = Registry("delta", group="slashbench.deltas")

DELTAS.lazy("delta", "slashbench.codecs.delta:Delta")
DELTAS.lazy("index-value", "slashbench.codecs.peers.index_value:IndexValue")
DELTAS.lazy("zstd-patch", "slashbench.codecs.peers.zstd_patch:ZstdPatch", needs="zstandard")
DELTAS.lazy(
    "z4ai-delta", "slashbench.codecs.peers.z4ai_delta:Z4aiDelta", needs="z4ai", install=_PEERS
)
DELTAS.lazy(
    "bigsmall-delta",
    "slashbench.codecs.peers.bigsmall_delta:BigSmallDelta",
    needs="bigsmall",
    install="pip install bigsmall",
)
DELTAS.lazy(
    "lmzip-delta", "slashbench.codecs.peers.lmzip_delta:LmzipDelta", needs="lmz", install=_PEERS
)

# Whatever numcodecs has: numcodecs.zlib:level=9. By name only, never in `all`.
CODECS.family("numcodecs.", "slashbench.codecs.numcodecs_adapter:by_id", needs="numcodecs")

# Peers: other people's compressors (codecs/peers/).
CODECS.lazy("zlib", "slashbench.codecs.peers.deflate:Deflate")
CODECS.lazy("bz2", "slashbench.codecs.peers.bzip2:Bzip2")
CODECS.lazy("lzma", "slashbench.codecs.peers.xz:Xz")
CODECS.lazy("brotli", "slashbench.codecs.peers.brotli:Brotli", needs="brotli", install=_PEERS)
CODECS.lazy("lz4", "slashbench.codecs.peers.lz4:Lz4", needs="lz4", install=_PEERS)
CODECS.lazy("blosc2", "slashbench.codecs.peers.blosc2:Blosc2", needs="blosc2", install=_PEERS)
CODECS.lazy("pcodec", "slashbench.codecs.peers.pcodec:Pcodec", needs="pcodec", install=_PEERS)
CODECS.lazy("zipnn", "slashbench.codecs.peers.zipnn:ZipNN", needs="zipnn", install=_PEERS)
CODECS.lazy(
    "openzl-huffman", "slashbench.codecs.peers.openzl:OpenZLHuffman", needs="openzl", install=_PEERS
)
CODECS.lazy(
    "openzl-fse", "slashbench.codecs.peers.openzl:OpenZLFse", needs="openzl", install=_PEERS
)
CODECS.lazy(
    "openzl-compress",
    "slashbench.codecs.peers.openzl:OpenZLCompress",
    needs="openzl",
    install=_PEERS,
)
CODECS.lazy("z4ai", "slashbench.codecs.peers.z4ai:Z4ai", needs="z4ai", install=_PEERS)
CODECS.lazy("zfp", "slashbench.codecs.peers.zfp:Zfp", needs="zfpy", install=_PEERS)
CODECS.lazy("isal", "slashbench.codecs.peers.isal:Isal")
CODECS.lazy(
    "libdeflate", "slashbench.codecs.peers.libdeflate:Libdeflate", needs="deflate", install=_PEERS
)
CODECS.lazy(
    "constriction-huffman",
    "slashbench.codecs.peers.constriction_huffman:ConstrictionHuffman",
    needs="constriction",
)
CODECS.lazy(
    "deepcabac",
    "slashbench.codecs.peers.deepcabac:DeepCabac",
    needs="nncodec",
    install="pip install --no-deps nncodec",
)
