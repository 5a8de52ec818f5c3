"""What all departments share at a moment, reads in hand and bytes of bodies on their way: none of them holds all of it."""

from __future__ import annotations

from collections import Counter


class Shares:
    """Counts what each department holds; for one thread."""

    def __init__(self) -> None:
        """Begin with all of it free."""
        self._held: Counter[str] = Counter()

    def take(self, department: str, amount: int, most: int) -> bool:
        """Return whether a department may hold so much more of what there is `most` of, and note it.

        One department has three quarters of it at the most, so that there is always some for another one.
        """
        if self._held.total() + amount > most or self._held[department] + amount > max(amount, most * 3 // 4):
            return False
        self._held[department] += amount
        return True

    def give_back(self, department: str, amount: int) -> None:
        """Note that a department holds so much less."""
        self._held[department] -= amount
        if not self._held[department]:
            del self._held[department]
