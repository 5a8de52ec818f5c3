"""The one kind of failure that is this machine's own: no verdict about any transaction or block follows from it."""

from __future__ import annotations


class LocalFault(Exception):
    """The node cannot go on on this machine (memory, disk, stored data): the node stops and says why; others are not concerned."""
