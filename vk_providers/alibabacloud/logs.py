"""Logs of a container by DescribeContainerLog; `context.follow` of the core follows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import vk
from vk_providers.alibabacloud.client import RpcClient
from vk_providers.alibabacloud.errors import GroupNotFoundError, RequestOutcomeUnknownError

__all__ = ["read_log"]

_MOST_LINES = 2000
_MOST_BYTES = 1 << 20
_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between retries while a log is followed."""


async def read_log(
    client: RpcClient,
    context: vk.ProviderContext,
    *,
    group: str,
    container: vk.ContainerKey,
    options: vk.LogOptions,
) -> AsyncIterator[bytes]:
    """Yield the log according to ``options``. Raises NotFoundError where there is none.

    The service returns the last 2000 lines and 1 MiB at most.
    """

    async def poll(since: datetime | None) -> bytes:
        query = _query(group, container.name, options, since)
        try:
            answer = await client.call("DescribeContainerLog", query)
        except GroupNotFoundError:
            raise vk.NotFoundError(f"no log of {container}: its group is gone") from None
        return _lines(str(answer.get("content") or ""))

    begun = False

    async def poll_again(since: datetime | None) -> bytes:
        nonlocal begun
        pauses = _PAUSES if begun else ()  # an error of the first call is reported at once
        begun = True
        for pause in pauses:  # a follower that fails would lose its position
            try:
                return await poll(since)
            except (vk.TemporaryError, RequestOutcomeUnknownError):
                await asyncio.sleep(pause)
        return await poll(since)

    async for piece in context.follow(container, options, poll_again):
        yield piece


def _query(
    group: str, container: str, options: vk.LogOptions, since: datetime | None
) -> dict[str, Any]:
    query: dict[str, Any] = {
        "ContainerGroupId": group,
        "ContainerName": container,
        "Timestamps": True,
        "Tail": _MOST_LINES,
        "LimitBytes": _MOST_BYTES,
    }
    if options.tail_lines is not None and not options.follow and since is None:
        query["Tail"] = max(1, min(_MOST_LINES, options.tail_lines))
    if since is not None:
        query["StartTime"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if options.previous:
        query["LastTime"] = True
    return query


def _lines(text: str) -> bytes:
    if text and not text.endswith("\n"):
        text += "\n"
    return text.encode()
