"""The existing container groups: by id, in paginated lists, kept for a while after their end."""

from __future__ import annotations

import random
import string
from collections import deque
from collections.abc import Callable, Iterable

import attrs

from vk_providers.alibabacloud.emulator.errors import invalid, not_found
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.timeline import Timeline

__all__ = ["GroupPage", "GroupStore"]

_REMEMBERED = 3600.0
"""Seconds for which every ended group is kept."""
_REMEMBERED_UNPLACED = 86_400.0
_NEWEST = 100
"""Number of ended groups that are kept for longer."""
_TOKENS = 10_000


@attrs.frozen
class GroupPage:
    """A page of a list."""

    groups: list[EmulatedGroup]
    total: int
    next_token: str


@attrs.define(eq=False)
class GroupStore:
    """All groups except deleted ones."""

    timeline: Timeline
    random: random.Random
    list_lag: float = 0.0
    _groups: dict[str, EmulatedGroup] = attrs.field(factory=dict, init=False)
    _old: deque[EmulatedGroup] = attrs.field(factory=deque, init=False)
    _tokens: dict[str, tuple[str, int]] = attrs.field(factory=dict, init=False)
    _number: int = 0

    def new_id(self) -> tuple[str, int]:
        """Return the id of a new group and its position in lists."""
        self._number += 1
        letters = string.ascii_lowercase + string.digits
        return "eci-" + "".join(self.random.choices(letters, k=20)), self._number

    def add(self, group: EmulatedGroup) -> None:
        """Add a new group."""
        self._groups[group.id] = group

    def get(self, id: str) -> EmulatedGroup:
        """Return a group by its id. Raises `EciApiError`."""
        if id not in self._groups:
            raise not_found("ContainerGroupId")
        return self._groups[id]

    def all(self) -> Iterable[EmulatedGroup]:
        """Return every group, the oldest first."""
        return self._groups.values()

    def drop(self, group: EmulatedGroup) -> None:
        """Drop a group that does not exist any more."""
        self._groups.pop(group.id, None)

    def ended(self, group: EmulatedGroup, at: float) -> None:
        """Schedule the removal of an ended group."""
        unplaced = group.status == "ScheduleFailed" or bool(group.unplaced)
        kept = _REMEMBERED_UNPLACED if unplaced else _REMEMBERED
        step = self.drop if unplaced else self._age
        self.timeline.after(at, kept, lambda _: step(group))

    def page(
        self,
        wanted: Callable[[EmulatedGroup], bool],
        *,
        ids: Iterable[str] | None,
        limit: int,
        token: str,
        query: str,
        now: float,
    ) -> GroupPage:
        """Return a page of the groups that are ``wanted``. Raises `Refusal`.

        A token is valid for its ``query`` only. By id, a new group is found at once, in other
        lists after the list lag.
        """
        after = self._after(token, query)
        if ids is None:
            seen = now - self.timeline.scaled(self.list_lag)
            found = [g for g in self._groups.values() if g.created <= seen and wanted(g)]
        else:
            known = [self._groups[each] for each in dict.fromkeys(ids) if each in self._groups]
            found = sorted(filter(wanted, known), key=lambda group: group.number)
        left = [group for group in found if group.number > after]
        rows = left[:limit]
        more = len(left) > len(rows)
        return GroupPage(rows, len(found), self.token(query, rows[-1].number) if more else "")

    def token(self, query: str, after: int) -> str:
        """Return a new token for the groups after this number."""
        digits = f"{self.random.getrandbits(128):032x}"
        self._tokens[digits] = (query, after)
        while len(self._tokens) > _TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return digits

    def _after(self, token: str, query: str) -> int:
        if not token:
            return 0
        known, after = self._tokens.get(token, ("", 0))
        if token not in self._tokens or known != query:
            raise invalid("NextToken", "expected a token of a page with the same filter")
        return after

    def _age(self, group: EmulatedGroup) -> None:
        if group.id in self._groups:
            self._old.append(group)
        if len(self._old) > _NEWEST:
            self.drop(self._old.popleft())
