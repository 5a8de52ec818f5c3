"""Which release of the software this is."""

from __future__ import annotations

import importlib.metadata
from typing import Final

from node.wire.frames import MAX_SOFTWARE_VERSION_LENGTH

SOFTWARE_VERSION: Final = importlib.metadata.version("govnode")[:MAX_SOFTWARE_VERSION_LENGTH]
"""As peers are told in the handshake and clients in the status."""
