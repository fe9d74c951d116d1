"""Raw columns -> ids and floats, fitted on train alone."""

from bench.data.encoding.encoder import Encoder

__all__ = ["Encoder"]
