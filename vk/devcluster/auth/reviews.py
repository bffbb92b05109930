"""Reviews: questions about authentication and authorization, answered and not stored.

`Reviews.answer` takes a POST of a TokenReview, SubjectAccessReview, SelfSubjectAccessReview or
SelfSubjectReview and returns the same object with its status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from vk.devcluster import refusals
from vk.devcluster.auth.access import RequestAccess
from vk.devcluster.auth.rbac import Attributes
from vk.devcluster.bodies import read_object
from vk.devcluster.calls import Answer, Call, User, json_answer
from vk.devcluster.names import new_metadata
from vk.devcluster.refusals import Cause
from vk.devcluster.validation import WrongTypeError, check_create, for_create
from vk.models.time import now

__all__ = ["Reviews"]

Object = dict[str, Any]


@attrs.define(eq=False)
class Reviews:
    """Answers reviews."""

    access: RequestAccess

    def answer(self, call: Call) -> Answer:
        """Answer a POST of a review. Raises refusals."""
        kind = call.target.kind
        try:
            review = for_create(kind, read_object(call))
        except WrongTypeError as error:
            raise refusals.bad_request(
                f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
                f"{error}"
            ) from None
        named = {**review, "metadata": {**review["metadata"], "name": "review"}}  # it needs none
        causes = check_create(kind, named)
        if causes:
            raise refusals.invalid(kind, "", causes)
        answers: Mapping[str, Callable[[Call, Object], Object]] = {
            "TokenReview": self._token,
            "SubjectAccessReview": self._subject,
            "SelfSubjectAccessReview": self._self,
            "SelfSubjectReview": self._who,
        }
        status = answers[kind.name](call, review.get("spec") or {})
        metadata = {}
        if kind.name == "SelfSubjectReview":
            made = new_metadata({}, now())
            metadata = {"creationTimestamp": made["creationTimestamp"]}
        return json_answer({**review, "metadata": metadata, "status": status}, 201)

    def _token(self, call: Call, spec: Object) -> Object:
        token = spec.get("token", "")
        if not token:
            raise refusals.bad_request("token is required for TokenReview in authentication")
        found = self.access.tokens.user(token, spec.get("audiences") or ())
        if found is None:
            error = "[invalid bearer token, token lookup failed]"
            return {"user": {}, "error": error}
        user, audiences = found
        return {"authenticated": True, "user": user.to_json(), "audiences": audiences}

    def _subject(self, call: Call, spec: Object) -> Object:
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))
        return self._decide(call, user, spec)

    def _self(self, call: Call, spec: Object) -> Object:
        return self._decide(call, call.user, spec)

    def _who(self, call: Call, spec: Object) -> Object:
        return {"userInfo": call.user.to_json()}

    def _decide(self, call: Call, user: User, spec: Object) -> Object:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            cause = Cause("FieldValueInvalid", f"Invalid value: {text}", "spec")
            raise refusals.invalid(call.target.kind, "", [cause])
        if path is not None:
            wanted = Attributes(path.get("verb", ""), path=path.get("path", ""))
        else:
            resource = resource or {}
            wanted = Attributes(
                resource.get("verb", ""),
                resource.get("group", ""),
                resource.get("resource", ""),
                resource.get("subresource", ""),
                resource.get("namespace", ""),
                resource.get("name", ""),
            )
        return {"allowed": self.access.rules.allow(user, wanted)}
