"""What Byzantine validators do: each is a correct node whose outgoing frames pass through a Behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.wire.frames import Frame, encode_frame

if TYPE_CHECKING:
    from tests.simulator.validator import SimValidator
    from tests.simulator.world import World


class Behaviour:
    """Decides which bytes leave for each peer in place of a frame; this one sends what a correct node sends."""

    name = "correct"

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        """Return the encoded frames that `target` gets."""
        return [encode_frame(frame)]


class Silent(Behaviour):
    """Takes part in nothing."""

    name = "silent"

    def outgoing(self, node: SimValidator, target: SimValidator, frame: Frame) -> list[bytes]:
        return []


def draw_behaviour(world: World) -> Behaviour:
    """Choose what a Byzantine validator of this run does."""
    return world.random.choice((Silent,))()
