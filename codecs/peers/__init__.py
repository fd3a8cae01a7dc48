"""Other people's compressors, each behind the contract of `codecs/base.py` and in our frame."""
