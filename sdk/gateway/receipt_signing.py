"""Signs for reads as they are recorded: those that come while one signature is made share the next."""

from __future__ import annotations

import asyncio

from sdk.access_recording.recorder import Recorded
from sdk.gateway.receipts import MAX_SIGNED_TOGETHER, Receipt, make_receipts, receipt_digest, receipts_root
from sdk.request_signing import RequestSigner


class ReceiptSigner:
    """Makes receipts; for one event loop."""

    def __init__(self, signer: RequestSigner) -> None:
        """Take the recorder's key."""
        self._signer = signer
        self._waiting: list[tuple[Recorded, asyncio.Future[Receipt]]] = []
        self._task: asyncio.Task[None] | None = None

    async def sign(self, recorded: Recorded) -> Receipt:
        """Return the receipt of a read that is on disk."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Receipt] = loop.create_future()
        self._waiting.append((recorded, made))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        return await made

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MAX_SIGNED_TOGETHER], self._waiting[MAX_SIGNED_TOGETHER:]
            digests = [recorded.digest for recorded, _ in group]
            # The signature releases the interpreter: reads go on meanwhile.
            signature = await asyncio.to_thread(self._signer.sign, receipt_digest(receipts_root(digests)))
            receipts = make_receipts([recorded.read for recorded, _ in group], digests, signature)
            for (_, made), receipt in zip(group, receipts, strict=True):
                if not made.done():
                    made.set_result(receipt)
