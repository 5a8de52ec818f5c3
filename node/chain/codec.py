"""Canonical MessagePack: one value has one encoding, and only that encoding decodes."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[object, msgspec.msgpack.Decoder[object]] = {}


class CodecError(Exception):
    """Bytes from outside are not the canonical encoding of the expected type."""


def encode(value: object) -> bytes:
    """Return the canonical MessagePack bytes of a struct or built-in value."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """Return the value of type `kind` that encodes to exactly `data`; raise CodecError otherwise."""
    value = decode_trusted(data, kind)
    if _ENCODER.encode(value) != data:
        raise CodecError(
            f"expected the canonical encoding of {kind.__name__}, found another encoding of the same value"
        )
    return value


def decode_trusted(data: bytes, kind: type[T]) -> T:
    """Return the value of type `kind` in bytes this node wrote itself; raise CodecError when they do not decode."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(data)  # type: ignore[return-value]
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
        raise CodecError(f"expected the encoding of {getattr(kind, '__name__', kind)}: {error}") from None
