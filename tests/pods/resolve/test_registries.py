"""Registry credentials of image pull secrets, as the kubelet reads them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from vk.models.files import RegistryCredential
from vk.pods.resolve.registries import pull_secrets, registry_credentials


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def secret(content: Any, key: str = ".dockerconfigjson") -> dict[str, Any]:
    return {"data": {key: encoded(json.dumps(content))}}


def test_both_formats_and_both_spellings_of_a_login_are_read() -> None:
    new = {
        "auths": {
            "ghcr.io": {"auth": encoded("ann:secret:with:colons")},
            "https://index.docker.io/v1/": {"username": "bob", "password": "b"},
            "quay.io/team": {"username": "x", "password": "y", "auth": encoded("carl:c")},
        }
    }
    old = {"registry.example:5000": {"username": "dora", "password": "d", "email": "d@x"}}
    found, notices = registry_credentials({"new": secret(new), "old": secret(old, ".dockercfg")})
    assert found == (
        RegistryCredential("ghcr.io", "ann", "secret:with:colons"),
        RegistryCredential("index.docker.io", "bob", "b"),
        RegistryCredential("quay.io/team", "carl", "c"),
        RegistryCredential("registry.example:5000", "dora", "d"),
    )
    assert notices == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "not found"),
        ({}, "holds no registry credentials that can be read"),
        ({"data": {".dockerconfigjson": "%%%"}}, "holds no registry credentials"),
        (secret([1]), "holds no registry credentials"),
        (secret({"auths": {"r": {"auth": encoded("nocolon-topsecret")}}}), "holds no registry"),
        (secret({"auths": {"r": "topsecret"}}), "holds no registry"),
    ],
)
def test_a_secret_without_credentials_is_told_of_and_keeps_nothing_back(
    found: Any, told: str
) -> None:
    good = secret({"auths": {"r": {"auth": encoded("a:b")}}})
    credentials, (notice,) = registry_credentials({"bad": found, "good": good})
    assert credentials == (RegistryCredential("r", "a", "b"),)
    assert notice.reason == "FailedToRetrieveImagePullSecret"
    assert f"image pull secret 'bad' {told}" in notice.message
    assert "topsecret" not in notice.message


def test_a_password_is_in_no_repr() -> None:
    assert "hidden" not in repr(RegistryCredential("r", "u", "hidden"))


def test_the_names_of_pull_secrets_are_the_pods_each_once() -> None:
    raw = {"spec": {"imagePullSecrets": [{"name": "a"}, {}, {"name": "b"}, {"name": "a"}]}}
    assert pull_secrets(raw) == ["a", "b"]
