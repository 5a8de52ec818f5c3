"""Keys in libcrypto live as long as they are used, however many threads push them out of the cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sm_crypto import libcrypto
from sm_crypto.libcrypto import LibcryptoEngine
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm2_curve import message_hash


def test_threads_with_more_keys_than_the_cache_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypto, "_CACHED_KEYS", 1)
    engine = LibcryptoEngine()
    cases = []
    for scalar in range(1, 9):
        key = PrivateKey(scalar)
        cases.append((key.public_key, message_hash(key.public_key, b"m"), key.sign(b"m")))
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda case: engine.verify_digest(*case), cases * 100))
