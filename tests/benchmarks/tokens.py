"""What a default token volume costs: pods with it beside pods without, on a real API server.

    KUBEBUILDER_ASSETS=... python tests/benchmarks/tokens.py [--pods 1000] [--rounds 9]

One JSON line: the rates of a burst without and with the volume that API servers put into almost
every pod (token, root certificate, namespace), their ratio in each round, and how many tokens were
asked for a pod. ``reached``: the middle ratio is 0.7 or more, and there was one request a pod. The
two bursts of a round follow one another at one node: on a shared machine the same work takes half
as long again a minute later, and single ratios differ by a third.

The node is the ServiceAccount of examples/deploy, as in a cluster. A client certificate, which this
API server verifies twice at every request, would add 0.2 ms of its CPU to each of a pod's requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import attrs
from access import NAMESPACE
from core import Bench, Contest, Figures, contest
from load import Clients

from vk.testing.control_plane import ControlPlane

_NODE = "bench-tokens"
_RATIO = 0.7
_ROLES = Path(__file__).parents[2] / "examples" / "deploy" / "base" / "rbac.yaml"
_VOLUME: Figures = {
    "name": "kube-api-access",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt"}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ]
    },
}


async def _prepare(kubeconfig: Path) -> None:
    """Make what controllers would make, which do not run here."""
    async with Clients(kubeconfig, "none") as clients:
        await clients.namespace()
        objects: dict[str, dict[str, Any]] = {
            "serviceaccounts": {"metadata": {"name": "default"}},
            "configmaps": {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "x"}},
        }
        for plural, body in objects.items():
            path = f"/api/v1/namespaces/{NAMESPACE}/{plural}"
            async with clients.session.post(path, json=body) as answer:
                answer.raise_for_status()


async def _round(plain: Contest, full: Contest, number: int, count: int) -> tuple[Figures, Figures]:
    """Return the figures of a burst without and one with the volume, right after one another.

    Which comes first changes from round to round.
    """
    found, all_names = {}, []
    for kind, work in [("plain", plain), ("token", full)][:: 1 if number % 2 else -1]:
        names = [f"{kind}-{number}-{pod}" for pod in range(count)]
        found[kind] = await work.run(names, create=True)
        all_names += names
    await plain.run(all_names, create=False)
    return found["plain"], found["token"]


def _account(plane: ControlPlane) -> Path:
    """Return the kubeconfig of the ServiceAccount of examples/deploy, with what its pods need."""
    plane.kubectl("apply", "-f", str(_ROLES))
    plane.kubectl(
        *("create", "rolebinding", "vk-references", "--clusterrole=vk-references"),
        *("--serviceaccount=kube-system:vk", f"--namespace={NAMESPACE}"),
    )
    return plane.kubeconfig_for_service_account("kube-system", "vk")


async def _run(bench: Bench, count: int) -> Figures:
    plain, full = [], []
    async with (
        contest(bench, "vk", _NODE) as work,
        Clients(bench.kubeconfig, _NODE, (_VOLUME,)) as clients,
    ):
        with_volume = attrs.evolve(work, clients=clients)
        for number in range(bench.rounds):
            one, other = await _round(work, with_volume, number, count)
            plain.append(one)
            full.append(other)
    ratios = [
        round(one["pods_per_s"] / other["pods_per_s"], 2)
        for one, other in zip(full, plain, strict=True)
    ]
    asked = sum(one["requests"].get("POST serviceaccounts/token", 0) for one in full)
    each = asked / (count * bench.rounds)
    return {
        "case": "tokens",
        "pods": count,
        "plain_pods_per_s": [one["pods_per_s"] for one in plain],
        "token_pods_per_s": [one["pods_per_s"] for one in full],
        "ratios": ratios,
        "ratio": round(median(ratios), 2),
        "token_requests_a_pod": round(each, 3),
        "reached": {"ratio": median(ratios) >= _RATIO, "one_request_a_pod": each == 1.0},
    }


def main() -> None:
    """Measure and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ControlPlane() as plane:
        asyncio.run(_prepare(plane.admin_kubeconfig))
        bench = Bench(
            kubeconfig=plane.admin_kubeconfig,
            identity=_account(plane),
            folder=Path(folder),
            cases=(),
            idle_seconds=0.0,
            rounds=given.rounds,
            profile=None,
        )
        print(json.dumps(asyncio.run(_run(bench, given.pods))))


if __name__ == "__main__":
    main()
