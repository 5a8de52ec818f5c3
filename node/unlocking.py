"""The two private keys of a node, unlocked in threads of their own while the rest of the node is loaded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from node.config import NodeConfig, password_path, read_password
from sm_crypto.keystore import Signer, WrongPassword, load_key, load_private_key
from sm_crypto.sm2 import PrivateKey


class NodeKeys(NamedTuple):
    """What a node signs with, and the key of its connections."""

    signer: Signer
    transport_key: PrivateKey


def start_unlocking(config: NodeConfig) -> Callable[[], NodeKeys]:
    """Begin to unlock a node's keys; the returned function waits for them.

    Hardening a password against guessing takes each key a third of a second of a core and needs no interpreter lock.
    Raises ConfigError when there is no password; the returned function raises KeyFileError, and WrongPassword with the file
    that the password came from, which a variable may have named.
    """
    password = read_password(config)
    threads = ThreadPoolExecutor(2, thread_name_prefix="unlock")
    signer = threads.submit(load_key, Path(config.validator_key), password)
    transport_key = threads.submit(load_private_key, Path(config.transport_key), password)
    threads.shutdown(wait=False)

    def keys() -> NodeKeys:
        try:
            return NodeKeys(signer.result(), transport_key.result())
        except WrongPassword as error:
            source = password_path(config)
            raise WrongPassword(f"{error}（口令取自 / the password came from {source}）") from None

    return keys
