"""ExecContainerCommand: a ticket for one exec session, or the output of a command at once."""

from __future__ import annotations

from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.cloud import Call
from vk_providers.alibabacloud.emulator.container_shapes import GROUP_ID
from vk_providers.alibabacloud.emulator.inside import container_of, place_of
from vk_providers.alibabacloud.emulator.refusal import Refusal, invalid, wrong_state
from vk_providers.alibabacloud.emulator.sessions import Ticket
from vk_providers.alibabacloud.emulator.shapes import Shape, flag, text, words
from vk_providers.alibabacloud.emulator.shell.programs import output
from vk_providers.alibabacloud.emulator.shell.run import Place
from vk_providers.alibabacloud.emulator.states import Running

__all__ = ["EXEC", "execute"]

_WORDS = 20
_WORD = 256
_BYTES = 2048
_SYNC_LONGEST = 60.0

EXEC = Shape(
    {
        "ContainerGroupId": GROUP_ID,
        "ContainerName": text(256),
        "Command": words("words", _WORDS),
        "TTY": flag,
        "Stdin": flag,
        "Sync": flag,
    },
    ("ContainerGroupId", "ContainerName", "Command"),
)


def execute(call: Call) -> dict[str, Any]:
    """Answer with the URL of a session, or with what the command wrote."""
    group, command = call.group(), tuple(call.parameters["Command"])
    long = any(len(each) > _WORD for each in command)
    if long or sum(len(each.encode()) for each in command) > _BYTES:
        expected = f"expected words of at most {_WORD} characters, {_BYTES} bytes in all"
        raise invalid("Command", expected, "ValueExceeded")
    container = container_of(group, call.text("ContainerName"))
    if group.status != "Running" or not isinstance(container.state, Running):
        raise wrong_state(group.status)
    tty = bool(call.parameters.get("TTY"))
    place = attrs.evolve(place_of(group, container), terminal=tty)
    if call.parameters.get("Sync"):
        if tty:
            raise invalid("TTY", "expected false with Sync")
        return {"SyncResponse": _at_once(command, place)}
    stdin = bool(call.parameters.get("Stdin", True))
    ticket = Ticket(
        group=group,
        container=container,
        run=container.state,
        words=command,
        place=place,
        tty=tty,
        stdin=stdin,
    )
    secret = call.cloud.sessions.issue(ticket, call.now)
    return {
        "WebSocketUri": f"{call.base.replace('http', 'ws', 1)}/exec/?s={secret}",
        "HttpUrl": f"{call.base}/terminal?param={secret}",
        "SyncResponse": "",
    }


def _at_once(command: tuple[str, ...], place: Place) -> str:
    """Return the output of a command that nobody types to. Raises `Refusal` if it takes long."""
    pieces = list[bytes]()
    for at, content in output(command, place):
        if at > _SYNC_LONGEST:
            raise Refusal(408, "Request Timeout", "The command took too long.")
        pieces.append(content)
    return b"".join(pieces).decode("utf-8", "replace")
