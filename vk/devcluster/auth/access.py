"""Authentication and authorization: the first two steps of every request.

`RequestAccess.user` reads the client certificate or the bearer token, and impersonation;
`RequestAccess.check` evaluates the RBAC rules. A client that shows neither is system:anonymous.

Note: a certificate was verified in the TLS handshake already; a wrong one never comes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from multidict import CIMultiDictProxy

from vk.devcluster import refusals
from vk.devcluster.auth.rbac import Attributes, Rules
from vk.devcluster.auth.tokens import TokenIssuer
from vk.devcluster.calls import Call, User
from vk.devcluster.storage.field_selector import parse_field_selector

__all__ = ["ANONYMOUS", "RequestAccess"]

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
_AUTHENTICATED = "system:authenticated"
_AS, _AS_GROUP = "Impersonate-User", "Impersonate-Group"


@attrs.define(eq=False)
class RequestAccess:
    """Authenticates and authorizes."""

    tokens: TokenIssuer
    rules: Rules

    def user(self, certificate: Mapping[str, Any] | None, headers: CIMultiDictProxy[str]) -> User:
        """Return the user. Raises the refusals unauthorized and forbidden."""
        user = self._own(certificate, headers.get("Authorization", ""))
        return self._impersonated(user, headers) if _AS in headers else user

    def check(self, call: Call, verb: str = "") -> None:
        """Raise the refusal forbidden when the caller may not do that."""
        wanted = attributes_of(call, verb or call.verb)
        if not self.rules.allow(call.user, wanted):
            why = _cannot(call.user, wanted)
            raise refusals.forbidden(call.target.kind, wanted.name, why)

    def check_path(self, user: User, verb: str, path: str) -> None:
        """Raise the refusal forbidden when the user may not read a path that is no resource."""
        if not self.rules.allow(user, Attributes(verb, path=path)):
            why = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
            raise refusals.Refusal(403, "Forbidden", why, details={})

    def _own(self, certificate: Mapping[str, Any] | None, authorization: str) -> User:
        if certificate:
            return _certified(certificate)
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        found = self.tokens.user(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise refusals.unauthorized()
        return found[0]

    def _impersonated(self, user: User, headers: CIMultiDictProxy[str]) -> User:
        name, groups = headers[_AS], headers.getall(_AS_GROUP, [])
        namespace, _, account = name.removeprefix("system:serviceaccount:").partition(":")
        if account and name.startswith("system:serviceaccount:"):
            wanted = Attributes(
                "impersonate", resource="serviceaccounts", namespace=namespace, name=account
            )
            groups = groups or ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        else:
            wanted = Attributes("impersonate", resource="users", name=name)
        each = [Attributes("impersonate", resource="groups", name=group) for group in groups]
        for one in (wanted, *(each if _AS_GROUP in headers else ())):
            if not self.rules.allow(user, one):
                why = f'{one.resource} "{one.name}" is forbidden: {_cannot(user, one)}'
                details = {"name": one.name, "kind": one.resource}
                raise refusals.Refusal(403, "Forbidden", why, details=details)
        return User(name, _with_authenticated(groups, name))


def attributes_of(call: Call, verb: str) -> Attributes:
    """Return the attributes that are authorized for a verb; a list of one object names that."""
    target, kind = call.target, call.target.kind
    name = _selected(call) if verb in ("list", "watch") else target.name
    return Attributes(
        verb,
        kind.group,
        kind.plural,
        target.subresource,
        # a namespace itself is looked up as if it were inside itself, so that roles there count
        target.name if kind.name == "Namespace" else target.namespace,
        name,
        version=kind.version,
    )


def _selected(call: Call) -> str:
    """Return the one name that a field selector leaves, empty where there is none."""
    try:
        fields = parse_field_selector(call.query.get("fieldSelector", ""))
    except ValueError:
        return ""
    names = [
        value for path, sign, value in fields.requirements if (path, sign) == ("metadata.name", "=")
    ]
    return names[0] if names else ""


def _certified(certificate: Mapping[str, Any]) -> User:
    name, groups = "", []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, _with_authenticated(groups, name))


def _with_authenticated(groups: Sequence[str], name: str) -> tuple[str, ...]:
    if name == ANONYMOUS.name:
        return (*groups, *ANONYMOUS.groups)
    return (*groups, *(() if _AUTHENTICATED in groups else (_AUTHENTICATED,)))


def _cannot(user: User, wanted: Attributes) -> str:
    resource = wanted.resource + (f"/{wanted.subresource}" if wanted.subresource else "")
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return (
        f'User "{user.name}" cannot {wanted.verb} resource "{resource}" in API group '
        f'"{wanted.group}" {where}'
    )
