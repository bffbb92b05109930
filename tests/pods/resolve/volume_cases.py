"""Pods with volumes of files, and the objects that they name."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from vk.fields import FieldTable
from vk.models.files import FileTree
from vk.pods.resolve.volumes import TokenNeed, file_sources, resolve_files

EVERYTHING = FieldTable(honoured=("spec.volumes[]",))

CONFIG_MAPS: dict[str, Any] = {
    "settings": {
        "data": {"colour": "green", "shape": "round"},
        "binaryData": {"logo": b64encode(b"\x00\xff").decode()},
    },
    "other": {"data": {"colour": "red"}},
}
SECRETS: dict[str, Any] = {"hush": {"data": {"password": b64encode(b"geheim").decode()}}}
TOKENS = {TokenNeed("", 3600): "token-of-the-cluster", TokenNeed("vault", 600): "token-of-vault"}


def pod(*volumes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod with ``volumes`` and one container."""
    return {
        "metadata": {
            "name": "p",
            "namespace": "shop",
            "uid": "u",
            "labels": {"app": "web", "tier": "front"},
            "annotations": {"note": 'say "hi"\n'},
        },
        "spec": {
            "nodeName": "node-1",
            "serviceAccountName": "robot",
            "volumes": list(volumes),
            "containers": [
                {"name": "main", "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}}}
            ],
            **spec,
        },
    }


def trees(raw: dict[str, Any], **options: Any) -> dict[str, FileTree]:
    """The files of all volumes of a pod, with the objects above unless said otherwise."""
    given: dict[str, Any] = {
        "config_maps": CONFIG_MAPS,
        "secrets": SECRETS,
        "tokens": TOKENS,
        "allocatable": {"cpu": "4", "memory": "8Gi"},
    }
    fields = options.pop("fields", EVERYTHING)
    return resolve_files(raw, file_sources(raw, fields), **{**given, **options})


def tree(source: dict[str, Any], **options: Any) -> FileTree:
    """The files of the one volume that has ``source``."""
    spec = options.pop("spec", {})
    return trees(pod({"name": "v", **source}, **spec), **options)["v"]


def shown(files: FileTree) -> dict[str, tuple[str, str]]:
    """A tree as its reader sees it: content and mode."""
    return {path: (file.content.decode(), f"{file.mode:04o}") for path, file in files.items()}
