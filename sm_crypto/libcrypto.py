"""SM2 through the OpenSSL libcrypto of this machine, by ctypes: every call releases the interpreter lock.

Callers have checked ranges and points (sm2_curve): OpenSSL loops for ever on the private key n - 1.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from sm_crypto.der import decode_signature, encode_signature
from sm_crypto.errors import EngineUnavailable, InvalidKey

_NID_SM2: Final = 1172
_PUBLIC_KEY: Final = 0x86  # EVP_PKEY_PUBLIC_KEY
_KEY_PAIR: Final = 0x87  # EVP_PKEY_KEYPAIR
_PARAM_UNSIGNED, _PARAM_UTF8, _PARAM_OCTETS = 2, 4, 5
_UNCOMPRESSED: Final = 4
_MIN_VERSION: Final = 0x30000000
_MAX_DER_SIGNATURE: Final = 72
_CACHED_KEYS: Final = 1_024
_LIBRARY_NAMES: Final = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib")

_POINTER = ctypes.c_void_p
_SIZE = ctypes.c_size_t
_INT = ctypes.c_int
_BYTES = ctypes.c_char_p

# name -> (result, arguments); declared because ctypes would cut pointers to 32 bits.
_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "OpenSSL_version_num": (ctypes.c_ulong, []),
    "OpenSSL_version": (_BYTES, [_INT]),
    "ERR_clear_error": (None, []),
    "EVP_PKEY_CTX_new_from_name": (_POINTER, [_POINTER, _BYTES, _BYTES]),
    "EVP_PKEY_CTX_new_from_pkey": (_POINTER, [_POINTER, _POINTER, _BYTES]),
    "EVP_PKEY_CTX_free": (None, [_POINTER]),
    "EVP_PKEY_free": (None, [_POINTER]),
    "EVP_PKEY_fromdata_init": (_INT, [_POINTER]),
    "EVP_PKEY_fromdata": (_INT, [_POINTER, ctypes.POINTER(_POINTER), _INT, _POINTER]),
    "EVP_PKEY_sign_init": (_INT, [_POINTER]),
    "EVP_PKEY_sign": (_INT, [_POINTER, _POINTER, ctypes.POINTER(_SIZE), _BYTES, _SIZE]),
    "EVP_PKEY_verify_init": (_INT, [_POINTER]),
    "EVP_PKEY_verify": (_INT, [_POINTER, _BYTES, _SIZE, _BYTES, _SIZE]),
    "EC_GROUP_new_by_curve_name": (_POINTER, [_INT]),
    "EC_POINT_new": (_POINTER, [_POINTER]),
    "EC_POINT_clear_free": (None, [_POINTER]),
    "EC_POINT_oct2point": (_INT, [_POINTER, _POINTER, _BYTES, _SIZE, _POINTER]),
    "EC_POINT_point2oct": (_SIZE, [_POINTER, _POINTER, _INT, _POINTER, _SIZE, _POINTER]),
    "EC_POINT_mul": (_INT, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER]),
    "BN_bin2bn": (_POINTER, [_BYTES, _INT, _POINTER]),
    "BN_clear_free": (None, [_POINTER]),
}


class _Param(ctypes.Structure):
    """One OSSL_PARAM."""

    _fields_ = (("key", _BYTES), ("type", ctypes.c_uint), ("data", _POINTER), ("size", _SIZE), ("returned", _SIZE))


class _Key:
    """An EVP_PKEY, freed with its object."""

    __slots__ = ("_free", "pointer")

    def __init__(self, pointer: int, free: Any) -> None:
        self.pointer = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self.pointer)


class LibcryptoEngine:
    """SM2 signatures and scalar multiplication by OpenSSL 3 or later."""

    name = "openssl"

    def __init__(self) -> None:
        """Load libcrypto; raise EngineUnavailable where there is none with SM2."""
        self._lib = _load_library()
        self.version = self._lib.OpenSSL_version(0).decode("ascii", "replace")
        self._group = self._lib.EC_GROUP_new_by_curve_name(_NID_SM2)
        if not self._group:
            raise EngineUnavailable(f"{self.version} was built without SM2")
        # One cache for each engine object: a key costs 20 us to take in, and senders come back.
        self._public_key = lru_cache(maxsize=_CACHED_KEYS)(self._take_public_key)

    def multiply(self, scalar: int, point: bytes | None = None) -> bytes:
        """Return scalar times `point` (64 bytes x || y, the generator when None) as x || y; 1 <= scalar < n."""
        lib = self._lib
        factor = source = result = None
        output = ctypes.create_string_buffer(65)
        try:
            factor = lib.BN_bin2bn(scalar.to_bytes(32, "big"), 32, None)
            result = lib.EC_POINT_new(self._group)
            if point is None:
                done = lib.EC_POINT_mul(self._group, result, factor, None, None, None)
            else:
                source = lib.EC_POINT_new(self._group)
                encoded = b"\x04" + point
                done = lib.EC_POINT_oct2point(self._group, source, encoded, 65, None) == 1 and lib.EC_POINT_mul(
                    self._group, result, None, source, factor, None
                )
            if done != 1 or lib.EC_POINT_point2oct(self._group, result, _UNCOMPRESSED, output, 65, None) != 65:
                raise self._failure("scalar multiplication failed")
        finally:
            for pointer in (source, result):
                lib.EC_POINT_clear_free(pointer)
            lib.BN_clear_free(factor)
        return output.raw[1:]

    def sign_digest(self, scalar: int, public_key: bytes, digest: bytes) -> bytes:
        """Return r || s over the 32-byte e; the nonce comes from OpenSSL's own generator."""
        lib = self._lib
        key = self._take_private_key(scalar, public_key)
        context = lib.EVP_PKEY_CTX_new_from_pkey(None, key.pointer, None)
        try:
            length = _SIZE(_MAX_DER_SIGNATURE)
            output = ctypes.create_string_buffer(_MAX_DER_SIGNATURE)
            if (
                lib.EVP_PKEY_sign_init(context) != 1
                or lib.EVP_PKEY_sign(context, output, ctypes.byref(length), digest, 32) != 1
            ):
                raise self._failure("signing failed")
            return decode_signature(output.raw[: length.value])
        finally:
            lib.EVP_PKEY_CTX_free(context)

    def verify_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Return whether r || s is this key's signature over the 32-byte e."""
        lib = self._lib
        der = encode_signature(signature)
        # Named, so that it lives through the call: another thread may push it out of the cache meanwhile.
        key = self._public_key(public_key)
        context = lib.EVP_PKEY_CTX_new_from_pkey(None, key.pointer, None)
        try:
            if lib.EVP_PKEY_verify_init(context) != 1:
                raise self._failure("verification could not start")
            verdict: int = lib.EVP_PKEY_verify(context, der, len(der), digest, 32)
            if verdict != 1:
                lib.ERR_clear_error()
            return verdict == 1
        finally:
            lib.EVP_PKEY_CTX_free(context)

    def _take_public_key(self, public_key: bytes) -> _Key:
        point = ctypes.create_string_buffer(b"\x04" + public_key, 65)
        return self._from_data(_PUBLIC_KEY, [(b"pub", _PARAM_OCTETS, point, 65)])

    def _take_private_key(self, scalar: int, public_key: bytes) -> _Key:
        point = ctypes.create_string_buffer(b"\x04" + public_key, 65)
        secret = ctypes.create_string_buffer(scalar.to_bytes(32, _native_order()), 32)
        try:
            return self._from_data(
                _KEY_PAIR, [(b"pub", _PARAM_OCTETS, point, 65), (b"priv", _PARAM_UNSIGNED, secret, 32)]
            )
        finally:
            ctypes.memset(secret, 0, 32)

    def _from_data(self, selection: int, values: list[tuple[bytes, int, Any, int]]) -> _Key:
        lib = self._lib
        group = ctypes.create_string_buffer(b"SM2")
        rows = [(b"group", _PARAM_UTF8, group, 3), *values]
        params = (_Param * (len(rows) + 1))()
        for param, (key, kind, buffer, size) in zip(params, rows, strict=False):
            param.key, param.type, param.data, param.size = key, kind, ctypes.addressof(buffer), size
        pointer = _POINTER()
        context = lib.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        try:
            if (
                not context
                or lib.EVP_PKEY_fromdata_init(context) != 1
                or lib.EVP_PKEY_fromdata(context, ctypes.byref(pointer), selection, params) != 1
                or pointer.value is None
            ):
                raise self._failure("the key was refused")
        finally:
            lib.EVP_PKEY_CTX_free(context)
        return _Key(pointer.value, lib.EVP_PKEY_free)

    def _failure(self, what: str) -> InvalidKey:
        self._lib.ERR_clear_error()
        return InvalidKey(f"{self.version}: {what}")


def _native_order() -> Any:
    return "little" if ctypes.c_uint16.from_buffer_copy(b"\x01\x00").value == 1 else "big"


def _library_names() -> Iterator[str]:
    """Yield the names to try; the search of the system, which starts a process, only when the known names are not there."""
    yield from _LIBRARY_NAMES
    found = ctypes.util.find_library("crypto")
    if found is not None:
        yield found


def _load_library() -> Any:
    """Return libcrypto with every function declared; raise EngineUnavailable where it is missing or too old."""
    for name in _library_names():
        try:
            library = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                declared = getattr(library, function)
                declared.restype = result
                declared.argtypes = arguments
        except (OSError, AttributeError):
            continue
        if library.OpenSSL_version_num() >= _MIN_VERSION:
            return library
    raise EngineUnavailable("no OpenSSL libcrypto 3 or later was found on this machine")
