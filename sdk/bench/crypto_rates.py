"""How many SM2 signatures one core verifies a second, with each engine in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Final

from sm_crypto import sm2
from sm_crypto.multibuffer import forced_engine

ENGINES: Final = ("openssl", "multibuffer")
DISTINCT_SIGNATURES: Final = 256
MEASURE_S: Final = 2.0


def verify_rates() -> dict[str, float | None]:
    """Return verifications a second by engine; None for one that this machine lacks."""
    return {engine: _rate_in_process(engine) for engine in ENGINES}


def measure() -> float:
    """Return the verifications a second of this process's engine: batches of 256 signatures by 4 keys, for two seconds."""
    keys = [sm2.PrivateKey.generate() for _ in range(4)]
    messages = [index.to_bytes(32, "big") for index in range(DISTINCT_SIGNATURES)]
    items = [(keys[i % 4].public_key, message, keys[i % 4].sign(message)) for i, message in enumerate(messages)]
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < MEASURE_S:
        if not all(sm2.verify_batch(items)):
            raise RuntimeError("a good signature was refused")
        count += len(items)
    return count / elapsed


def _rate_in_process(engine: str) -> float | None:
    environment = {**os.environ, "GOVNODE_SM2_ENGINE": engine}
    result = subprocess.run(
        [sys.executable, "-m", "sdk.bench.crypto_rates"], check=False, capture_output=True, text=True, env=environment
    )
    if result.returncode != 0:
        return None
    rate: float | None = json.loads(result.stdout)
    return rate


def main() -> None:
    """Print this process's rate, or null where the forced engine is absent."""
    absent = forced_engine() == "multibuffer" and not sm2.multibuffer_available()
    sys.stdout.write(json.dumps(None if absent else measure()))


if __name__ == "__main__":
    main()
