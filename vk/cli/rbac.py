"""`vk rbac`: the roles that a node with these settings needs, and no more, as YAML for kubectl.

In: the settings, for the features that are on, and where the ServiceAccount lives. Out: text, each
rule below the reason why it is there. Made from `vk.cluster.permissions`; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import click

from vk.cluster.permissions import REFERENCES, Permission, features_of, wanted_permissions
from vk.plugins import Plugins
from vk.settings import Settings

__all__ = ["Account", "documents", "rbac"]

_GROUP = "rbac.authorization.k8s.io"
_READER = "extension-apiserver-authentication-reader"
_ELSEWHERE = REFERENCES | {"client-authority"}
_HEAD = """\
# What a node may do, and no more; printed by `vk rbac`. It grants nothing of Secrets, ConfigMaps,
# claims and tokens: bind the ClusterRole {name}-references in each namespace whose pods name some,
#   kubectl create rolebinding {name}-references --clusterrole={name}-references \\
#     --serviceaccount={namespace}:{name} --namespace=NAMESPACE
"""


@attrs.frozen
class Account:
    """The ServiceAccount that gets the roles; ``node`` empty: they hold for every node."""

    namespace: str
    name: str
    node: str


def rbac(settings: Settings, *, namespace: str, name: str, every_node: bool) -> int:
    """Print the roles and return the exit code. Raises ConfigError and PluginError."""
    provider_class = Plugins.load(files=settings.plugins).provider_class(settings.provider)
    account = Account(namespace, name, "" if every_node else settings.node_name)
    features = features_of(settings, provider_class)
    click.echo(_HEAD.format(name=name, namespace=namespace) + _text(account, features), nl=False)
    return 0


def _text(account: Account, features: frozenset[str]) -> str:
    import yaml

    def dumped(value: Any) -> str:
        return yaml.safe_dump(value, sort_keys=False, default_flow_style=None)

    def written(document: dict[str, Any], rows: Iterable[Permission]) -> str:
        rules = [f"# {one.why}\n{dumped([one.rule(account.node)])}" for one in rows]
        return dumped(document) + ("rules:\n" + "".join(rules) if rules else "")

    return "---\n".join(written(*each) for each in documents(account, features))


def documents(
    account: Account, features: frozenset[str]
) -> Iterator[tuple[dict[str, Any], tuple[Permission, ...]]]:
    """Give each object, without its rules, and the permissions that its rules are made from."""
    name, namespace = account.name, account.namespace
    yield _object("v1", "ServiceAccount", name, namespace), ()
    rows = wanted_permissions(features - _ELSEWHERE)
    for place in dict.fromkeys(one.namespace for one in rows):
        kind = "Role" if place else "ClusterRole"
        own = tuple(one for one in rows if one.namespace == place)
        yield _object(f"{_GROUP}/v1", kind, name, place), own
        yield _binding(account, kind, name, place), ()
    if "client-authority" in features:
        # Kubernetes' own role; it is where API servers publish what signs their certificates.
        yield _binding(account, "Role", _READER, "kube-system", f"{name}-authentication-reader"), ()
    if "references" in features:
        role = _object(f"{_GROUP}/v1", "ClusterRole", f"{name}-references")
        yield role, wanted_permissions(features & REFERENCES)


def _object(api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _binding(
    account: Account, kind: str, role: str, namespace: str, name: str = ""
) -> dict[str, Any]:
    subject = {
        "kind": "ServiceAccount",
        "name": account.name,
        "namespace": account.namespace,
    }
    return {
        **_object(f"{_GROUP}/v1", f"{kind}Binding", name or role, namespace),
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": role},
        "subjects": [subject],
    }
