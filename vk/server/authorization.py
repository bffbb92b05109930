"""Authorization: whether a user may use a route, by SubjectAccessReview.

In: a `UserInfo`, and the entry of the routing table that the request matched. Out: nothing, or a
StatusError. Called by the middleware of `vk.server.app`. RBAC: create of subjectaccessreviews.
"""

from __future__ import annotations

import asyncio
import logging

import attrs

from vk.aio.memo import Memo
from vk.cluster.client import Client
from vk.cluster.resources import Resource
from vk.errors import ClusterError, ForbiddenError
from vk.server.authentication import UserInfo, review
from vk.server.errors import StatusError
from vk.server.routes import Route

__all__ = ["Authorizer"]

log = logging.getLogger(__name__)

_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
_ALLOWED_TTL, _DENIED_TTL = 300.0, 30.0  # s, as the kubelet
_LOG_INTERVAL = 60.0


def _access_ttl(allowed: bool) -> float:
    return _ALLOWED_TTL if allowed else _DENIED_TTL


@attrs.define(eq=False, kw_only=True)
class Authorizer:
    """Authorizes requests for one node. ``insecure`` allows all: for loopback alone."""

    client: Client
    node_name: str
    lenient_get: bool = False
    """A GET of exec, attach and port-forward needs verb ``get`` only, as upstream has it."""
    insecure: bool = False
    _access: Memo[tuple[UserInfo, str, str], bool] = attrs.field(
        factory=lambda: Memo(_access_ttl), init=False
    )
    _logged_at: float = attrs.field(default=float("-inf"), init=False)

    async def authorize(self, user: UserInfo, route: Route, method: str) -> None:
        """Raise StatusError unless ``user`` may use ``route``.

        403, or 500 and 503 where the API server does not answer: then no user may do anything.
        """
        if self.insecure:
            return
        verb = route.verb(method, lenient=self.lenient_get)
        for subresource in route.subresources:
            if await self._is_allowed(user, verb, subresource):
                return
        wanted = " or ".join(f"nodes/{subresource}" for subresource in route.subresources)
        extra = {"user": user.name, "verb": verb, "resource": wanted, "path": route.path}
        log.warning("request forbidden", extra=extra)
        raise StatusError(403, f"Forbidden (user={user.name}, verb={verb}, resource={wanted})")

    async def close(self) -> None:
        """Cancel reviews that are under way."""
        await self._access.close()

    async def _is_allowed(self, user: UserInfo, verb: str, subresource: str) -> bool:
        key = (user, verb, subresource)
        try:
            return await self._access.get(key, lambda: self._review_access(*key))
        except ForbiddenError as error:
            self._log("authorization check failed: grant create of subjectaccessreviews", error)
            raise StatusError(500, "authorization check failed") from None
        except ClusterError as error:
            self._log("authorization check failed", error)
            raise StatusError(503, "authorization check failed", retry_after=1.0) from None

    async def _review_access(self, user: UserInfo, verb: str, subresource: str) -> bool:
        attributes = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self.node_name,
        }
        spec = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra},
            "resourceAttributes": attributes,
        }
        status = await review(self.client, _ACCESS_REVIEWS, spec)
        return bool(status.get("allowed")) and not status.get("denied")

    def _log(self, message: str, error: ClusterError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = now
            log.error(message, extra={"error": str(error)})
