"""Which priority class has the turn: the most urgent one, unless another has waited long enough. Pure."""

from __future__ import annotations

from collections.abc import Collection

from scrivano.domain.job import Priority

__all__ = ["TURNS", "Ageing"]

# Turns that a class leaves to more urgent ones before it gets one itself, however much waits there.
TURNS = {Priority.INTERACTIVE: 0, Priority.NORMAL: 4, Priority.BULK: 12}


class Ageing:
    """Keeps a class from starving: it counts the turns that each one has left to others."""

    def __init__(self) -> None:
        self._passed = dict.fromkeys(Priority, 0)

    def order(self, waiting: Collection[Priority]) -> list[Priority]:
        overdue = [priority for priority in waiting if self._passed[priority] >= TURNS[priority] > 0]
        first = max(overdue, key=lambda priority: self._passed[priority] - TURNS[priority], default=None)
        return sorted(waiting, key=lambda priority: (priority is not first, list(Priority).index(priority)))

    def served(self, served: Collection[Priority], waiting: Collection[Priority]) -> None:
        """One turn is over; the classes of `waiting` could have had it."""
        for priority in Priority:
            passed_over = priority in waiting and priority not in served
            self._passed[priority] = self._passed[priority] + 1 if passed_over else 0
