"""The files of a pod's volumes, by the kubelet's rules."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from volume_cases import CONFIG_MAPS, EVERYTHING, pod, shown, tree, trees

from vk.errors import InvalidInputError
from vk.fields import FieldTable
from vk.models.files import File
from vk.pods.errors import MissingReference
from vk.pods.resolve.volumes import TokenNeed, file_sources, object_names, token_needs


def config_map(name: str = "settings", **more: Any) -> dict[str, Any]:
    return {"configMap": {"name": name, **more}}


def secret(name: str = "hush", **more: Any) -> dict[str, Any]:
    return {"secret": {"secretName": name, **more}}


def projected(*sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"projected": {"sources": list(sources), **more}}


def item(key: str, path: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "path": path, **more}


def test_a_config_map_is_a_file_a_key_binary_ones_too() -> None:
    files = tree(config_map())
    assert {path: file.content for path, file in files.items()} == {
        "colour": b"green",
        "shape": b"round",
        "logo": b"\x00\xff",
    }
    assert {file.mode for file in files.values()} == {0o644}


def test_items_choose_keys_and_give_paths_and_modes() -> None:
    files = tree(
        config_map(
            defaultMode=0o400,
            items=[item("colour", "a/b/c"), item("shape", "./a//s", mode=0o755)],
        )
    )
    assert shown(files) == {"a/b/c": ("green", "0400"), "a/s": ("round", "0755")}


def test_a_secret_is_decoded() -> None:
    assert shown(tree(secret())) == {"password": ("geheim", "0644")}


def test_a_text_wins_over_binary_data_of_the_same_key() -> None:
    both = {"data": {"k": "text"}, "binaryData": {"k": "AAAA"}}
    assert shown(tree(config_map("both"), config_maps={"both": both})) == {"k": ("text", "0644")}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (config_map("absent"), "volume 'v': ConfigMap 'absent' not found"),
        (secret("absent"), "volume 'v': Secret 'absent' not found"),
        (
            config_map("absent", items=[item("size", "s"), item("color", "c")]),
            "volume 'v': ConfigMap 'absent' not found (wanted: keys 'size', 'color')",
        ),
        (
            config_map(items=[item("size", "s")]),
            "volume 'v': key 'size' of ConfigMap 'settings' not found",
        ),
        (
            projected({"secret": {"name": "hush", "items": [item("user", "u")]}}),
            "volume 'v': key 'user' of Secret 'hush' not found",
        ),
    ],
)
def test_what_is_required_and_missing_is_named_by_volume_object_and_key(
    source: dict[str, Any], told: str
) -> None:
    with pytest.raises(MissingReference) as caught:
        tree(source)
    assert (str(caught.value), caught.value.reason) == (told, "FailedMount")
    assert caught.value.volume == "v"


@pytest.mark.parametrize(
    "source",
    [
        config_map("absent", optional=True),
        secret("absent", optional=True),
        config_map(optional=True, items=[item("size", "s")]),
        projected({"configMap": {"name": "absent", "optional": True}}),
    ],
)
def test_what_is_optional_and_missing_leaves_an_empty_volume(source: dict[str, Any]) -> None:
    assert tree(source) == {}


def test_a_projected_volume_joins_its_sources_and_the_last_one_wins() -> None:
    files = tree(
        projected(
            {"configMap": {"name": "settings"}},
            {"configMap": {"name": "other"}},
            {"secret": {"name": "hush", "items": [item("password", "secrets/p", mode=0o400)]}},
            {
                "downwardAPI": {
                    "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
                }
            },
            {"serviceAccountToken": {"path": "token"}},
            {"serviceAccountToken": {"path": "vault", "audience": "vault"}},
            defaultMode=0o640,
        ),
        tokens={TokenNeed("", 3600): "t1", TokenNeed("vault", 3600): "t2"},
    )
    files = {path: file for path, file in files.items() if path != "logo"}
    assert shown(files) == {
        "colour": ("red", "0640"),
        "shape": ("round", "0640"),
        "secrets/p": ("geheim", "0400"),
        "labels": ('app="web"\ntier="front"', "0640"),
        "token": ("t1", "0640"),
        "vault": ("t2", "0640"),
    }


def test_the_group_of_the_pods_files_may_read_them() -> None:
    files = tree(secret(defaultMode=0o400), spec={"securityContext": {"fsGroup": 2000}})
    assert files == {"password": File(b"geheim", mode=0o440, gid=2000)}


def test_a_token_belongs_to_the_user_that_all_containers_run_as() -> None:
    source = projected({"serviceAccountToken": {"path": "token"}})
    containers = [
        {"name": "a", "securityContext": {"runAsUser": 1000}},
        {"name": "b", "securityContext": {"runAsUser": 1000}},
    ]
    (file,) = tree(source, spec={"containers": containers}).values()
    assert (file.uid, file.gid, file.mode) == (1000, None, 0o600)
    context = {"runAsUser": 7, "fsGroup": 9}
    (file,) = tree(source, spec={"securityContext": context}).values()
    assert (file.uid, file.gid, file.mode) == (7, 9, 0o640)
    differing = [containers[0], {"name": "b"}]
    (file,) = tree(source, spec={"containers": differing}).values()
    assert (file.uid, file.gid, file.mode) == (None, None, 0o644)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("../etc/passwd", "must not contain '..'"),
        ("a/../../b", "must not contain '..'"),
        ("a/../b", "must not contain '..'"),
        ("/etc/passwd", "must be a relative path"),
        ("..data", "must not start with '..'"),
        ("./..2026/x", "must not start with '..'"),
        (".", "must name a file"),
        ("", "must name a file"),
        ("a\0b", "NUL"),
        ("x" * 256, "names of at most 255 bytes"),
        ("/".join(["x" * 200] * 30), "at most 4096 bytes"),
    ],
)
def test_a_path_that_leaves_the_volume_is_refused_with_its_field(path: str, told: str) -> None:
    items = [item("colour", "fine"), item("shape", path)]
    with pytest.raises(InvalidInputError) as caught:
        tree(config_map(items=items))
    assert str(caught.value).startswith("spec.volumes[0].configMap.items[1].path: ")
    assert told in str(caught.value)
    assert caught.value.reason == "InvalidVolume"


def test_a_path_that_two_items_have_is_refused_with_both_fields() -> None:
    source = projected(
        {"configMap": {"name": "settings", "items": [item("colour", "a/x")]}},
        {"secret": {"name": "hush", "items": [item("password", "./a//x")]}},
    )
    with pytest.raises(InvalidInputError) as caught:
        tree(source)
    first, second = (
        "spec.volumes[0].projected.sources[0].configMap.items[0].path",
        "spec.volumes[0].projected.sources[1].secret.items[0].path",
    )
    assert str(caught.value) == f"{second}: the path 'a/x' is that of {first} too"


def test_a_file_where_another_needs_a_folder_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"items\[1\].path: .*'a/b'.*folder.*'a'"):
        tree(config_map(items=[item("colour", "a"), item("shape", "a/b")]))


def test_a_file_over_the_providers_limit_is_refused_with_its_field() -> None:
    big = {"data": {"k": "x" * 33}}
    with pytest.raises(
        InvalidInputError, match=r"^spec.volumes\[0\].configMap: .*'k' has 33 bytes"
    ):
        tree(config_map("big"), config_maps={"big": big}, limit=32)
    assert len(tree(config_map("big"), config_maps={"big": big}, limit=33)) == 1


def test_a_secret_that_is_not_base64_is_refused_without_a_word_of_it() -> None:
    bad = {"data": {"password": "topsecret!"}}
    with pytest.raises(InvalidInputError) as caught:
        tree(secret("bad"), secrets={"bad": bad})
    said = "".join(traceback.format_exception(caught.value))
    assert "key 'password' of Secret 'bad' is not base64" in said
    assert "topsecret" not in said


def test_no_repr_shows_a_content() -> None:
    assert "geheim" not in repr(tree(secret()))


def test_volumes_of_other_kinds_have_no_files() -> None:
    raw = pod({"name": "v"}, {"name": "e", "emptyDir": {}}, {"name": "c", **config_map()})
    assert list(trees(raw)) == ["c"]


def test_what_the_backend_does_not_honour_is_not_even_asked_for() -> None:
    raw = pod(
        {"name": "c", **config_map()},
        {"name": "s", **secret()},
        {
            "name": "t",
            **projected(
                {"configMap": {"name": "other"}}, {"serviceAccountToken": {"path": "token"}}
            ),
        },
    )
    table = FieldTable(
        honoured=("spec.volumes[].projected",),
        ignored={"spec.volumes[].projected.sources[].serviceAccountToken": "no"},
    )
    sources = file_sources(raw, table)
    assert list(sources) == ["t"]
    assert object_names(sources, "configMap") == ["other"]
    assert (object_names(sources, "secret"), token_needs(sources)) == ([], [])
    assert file_sources(raw, FieldTable()) == {}
    wanted = file_sources(raw, EVERYTHING)
    assert object_names(wanted, "configMap") == ["settings", "other"]
    assert token_needs(wanted) == [TokenNeed("", 3600)]


def test_a_projected_source_that_cannot_be_resolved_is_refused() -> None:
    raw = pod({"name": "v", **projected({"clusterTrustBundle": {"path": "ca", "name": "x"}})})
    with pytest.raises(InvalidInputError) as caught:
        file_sources(raw, EVERYTHING)
    place = "spec.volumes[0].projected.sources[0].clusterTrustBundle"
    assert str(caught.value).startswith(f"{place}: expected one of configMap, secret")


def test_an_object_without_data_is_an_empty_volume() -> None:
    empty = {**CONFIG_MAPS, "empty": {"data": None}}
    assert tree(config_map("empty"), config_maps=empty) == {}
