"""A real Kubernetes control plane on this machine, for tests: etcd, API server, controllers.

Comes in: a folder with the programs, by default the one that ``KUBEBUILDER_ASSETS`` names, as for
setup-envtest. Goes out: kubeconfig files, and `ControlPlane.kubectl`. Everything listens on free
loopback ports and lives in one temporary folder. The API server authorizes with Node and RBAC and
issues service-account tokens, so a node under test has exactly the rights that it is given.

Note: ``/api/v1/nodes/NAME/proxy`` refuses kubelets on loopback; logs and exec do work there.
Without ``controllers`` no namespace has a default service account, and no node ever loses the taint
``node.kubernetes.io/not-ready``, so the scheduler binds nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Self

import attrs

from vk.devcluster.auth.certificates import Authority, KeyPair
from vk.testing.audit import audit_flags
from vk.testing.programs import CommandError, Program, eventually, free_port

__all__ = ["ASSETS", "CommandError", "ControlPlane", "eventually"]

ASSETS = "KUBEBUILDER_ASSETS"
"""The environment variable that names the folder of etcd, kube-apiserver, kubectl, ..."""


@attrs.define(eq=False)
class ControlPlane:
    """Runs etcd and kube-apiserver, and on request the controllers and the scheduler.

    A context manager: inside it the API server serves and, where asked for, the controllers and the
    scheduler are healthy. It blocks for some seconds; use it outside of an event loop, or in a
    thread. At its exit every process has ended, and the folder is gone unless `keep_logs` is set or
    an exception passes.
    """

    assets: Path = attrs.field(factory=lambda: Path(os.environ[ASSETS]), converter=Path)
    controllers: bool = attrs.field(default=False, kw_only=True)
    scheduler: bool = attrs.field(default=False, kw_only=True)
    audit: bool = attrs.field(default=False, kw_only=True)
    """Keep what `vk.testing.audit` reads: every request, with who sent it and what became of it."""
    keep_logs: bool = attrs.field(default=False, kw_only=True)
    """Leave the folder with certificates and logs behind."""
    folder: Path = attrs.field(init=False)
    url: str = attrs.field(init=False)
    """Address of the API server."""
    _programs: dict[str, Program] = attrs.field(factory=dict, init=False)
    _ports: dict[str, int] = attrs.field(init=False)
    _authority: Authority = attrs.field(init=False)

    def __enter__(self) -> Self:
        """Start everything; on failure stop what was started and keep the logs."""
        self.folder = Path(tempfile.mkdtemp(prefix="vk-control-plane-"))
        self._authority = Authority(self.folder)
        self._ports = _free_ports("etcd", "peer", "kube-apiserver", *_HEALTH)
        self.url = f"https://127.0.0.1:{self._ports['kube-apiserver']}"
        try:
            self._start()
        except BaseException:
            self.keep_logs = True
            self._stop()
            raise
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Stop everything, in reverse order."""
        self.keep_logs = self.keep_logs or error is not None
        self._stop()

    @property
    def admin_kubeconfig(self) -> Path:
        """Kubeconfig of a member of system:masters."""
        return self.folder / "admin.kubeconfig"

    @property
    def certificate_authority(self) -> Path:
        """The certificate that signs everything here."""
        return self._authority.pair.certificate

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl as administrator and return what it printed.

        Raises CommandError, with its standard error, when it fails or takes over ``timeout`` s.
        """
        command = [str(self.assets / "kubectl"), f"--kubeconfig={self.admin_kubeconfig}"]
        command += [f"--cache-dir={self.folder / 'cache'}", *arguments]
        try:
            done = subprocess.run(
                command, input=input, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"kubectl {' '.join(arguments)}: over {timeout:g} s") from error
        if done.returncode:
            raise CommandError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return the parsed answer of ``kubectl get ... -o json``."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig with a new token of that ServiceAccount and return its path."""
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", "--duration=24h")
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        user = {"token": token.strip()}
        return self._authority.kubeconfig(path, server=self.url, user=user)

    def restart_api_server(self) -> None:
        """Stop the API server and start it on the same port and data; returns when it serves."""
        self._programs["kube-apiserver"].stop()
        self._programs["kube-apiserver"].start()
        self._wait("kube-apiserver", "/readyz")

    def _start(self) -> None:
        admin = self._authority.client("admin", user="admin", groups=["system:masters"])
        files = {"client-certificate": str(admin.certificate), "client-key": str(admin.key)}
        self._authority.kubeconfig(self.admin_kubeconfig, server=self.url, user=files)
        serving = self._authority.server("serving", "127.0.0.1", "localhost")
        tokens = self._authority.client("service-accounts", user="tokens", groups=["tokens"])
        self._run("etcd", self._etcd_flags())
        self._run("kube-apiserver", self._api_flags(serving, tokens))
        self._wait("kube-apiserver", "/readyz")
        if self.controllers:
            self._run("kube-controller-manager", self._controller_flags(serving, tokens))
        if self.scheduler:
            self._run("kube-scheduler", self._client_flags("kube-scheduler", serving))
        for name in _HEALTH:
            if name in self._programs:
                self._wait(name, "/healthz")

    def _run(self, name: str, flags: Sequence[str]) -> None:
        program = Program((str(self.assets / name), *flags), self.folder / f"{name}.log")
        self._programs[name] = program
        program.start()

    def _stop(self) -> None:
        while self._programs:
            _, program = self._programs.popitem()
            program.stop()
        if not self.keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, name: str, path: str, *, timeout: float = 30.0) -> None:
        context = ssl.create_default_context(cafile=str(self.certificate_authority))
        context.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")

        def healthy() -> bool:
            for program in self._programs.values():
                program.check()
            connection = HTTPSConnection("127.0.0.1", self._ports[name], timeout=5, context=context)
            with contextlib.closing(connection):
                connection.request("GET", path)
                return connection.getresponse().status == 200

        eventually(healthy, f"{name} is healthy, logs are in {self.folder}", timeout=timeout)

    def _etcd_flags(self) -> list[str]:
        client = f"http://127.0.0.1:{self._ports['etcd']}"
        peer = f"http://127.0.0.1:{self._ports['peer']}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def _api_flags(self, serving: KeyPair, tokens: KeyPair) -> list[str]:
        kubelet = self._authority.client("kubelet", user="kubelet", groups=["system:masters"])
        proxy = self._authority.client("front-proxy", user="front-proxy-client")
        return [
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
            *self._serving_flags("kube-apiserver", serving),
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a loopback address is no valid endpoint
            f"--client-ca-file={self.certificate_authority}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            *([] if self.controllers else ["--disable-admission-plugins=ServiceAccount"]),
            "--service-cluster-ip-range=10.0.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={tokens.key}",
            f"--service-account-signing-key-file={tokens.key}",
            f"--kubelet-client-certificate={kubelet.certificate}",
            f"--kubelet-client-key={kubelet.key}",
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            f"--requestheader-client-ca-file={self.certificate_authority}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={proxy.certificate}",
            f"--proxy-client-key-file={proxy.key}",
            "--enable-aggregator-routing=true",  # nothing routes a Service's address here
            *(audit_flags(self.folder) if self.audit else []),
        ]

    def _controller_flags(self, serving: KeyPair, tokens: KeyPair) -> list[str]:
        authority = self._authority.pair
        return [
            *self._client_flags("kube-controller-manager", serving),
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={tokens.key}",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
        ]

    def _client_flags(self, name: str, serving: KeyPair) -> list[str]:
        return [
            *self._serving_flags(name, serving),
            f"--kubeconfig={self.admin_kubeconfig}",
            "--leader-elect=false",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _serving_flags(self, name: str, serving: KeyPair) -> list[str]:
        return [
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports[name]}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
        ]


_HEALTH = ("kube-controller-manager", "kube-scheduler")


def _free_ports(*names: str) -> dict[str, int]:
    found: dict[int, str] = {}
    for name in names:
        while (port := free_port()) in found:
            continue
        found[port] = name
    return {name: port for port, name in found.items()}
