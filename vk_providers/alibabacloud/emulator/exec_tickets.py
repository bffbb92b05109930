"""One-time tickets of exec sessions, valid for 30 seconds."""

from __future__ import annotations

import random

import attrs

from vk_providers.alibabacloud.emulator.container import EmulatedContainer
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.shell.script import ProgramContext
from vk_providers.alibabacloud.emulator.states import RunningState

__all__ = ["ExecTicket", "ExecTickets"]

_GOOD = 30.0


@attrs.frozen(eq=False, kw_only=True)
class ExecTicket:
    """The command of a session, and its container run."""

    group: EmulatedGroup
    container: EmulatedContainer
    run: RunningState
    words: tuple[str, ...] = attrs.field(repr=False)
    context: ProgramContext = attrs.field(repr=False)
    tty: bool
    stdin: bool

    @property
    def alive(self) -> bool:
        """Whether the container is still in the same run."""
        return self.container.state is self.run


@attrs.define(eq=False)
class ExecTickets:
    """The valid tickets."""

    random: random.Random
    _tickets: dict[str, tuple[float, ExecTicket]] = attrs.field(factory=dict, init=False)

    def issue(self, ticket: ExecTicket, now: float) -> str:
        """Return the secret of a new ticket."""
        for secret, (until, _) in list(self._tickets.items()):
            if until < now:
                del self._tickets[secret]
        secret = f"{self.random.getrandbits(160):040x}"
        self._tickets[secret] = (now + _GOOD, ticket)
        return secret

    def redeem(self, secret: str, now: float) -> ExecTicket | None:
        """Return a valid ticket, once."""
        until, ticket = self._tickets.pop(secret, (0.0, None))
        return ticket if now <= until else None
