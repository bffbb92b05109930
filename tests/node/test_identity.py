"""The replica's name and its lock."""

from pathlib import Path

import pytest

from vk.errors import ConfigError
from vk.node.identity import StateFolder, default_folder, replica_identity


def test_the_name_survives_a_restart_in_the_same_folder(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state").lock("n") as first:
        pass
    with StateFolder(tmp_path / "state").lock("n") as second:
        assert first == second


def test_a_second_process_on_one_folder_gets_a_name_of_its_own(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with folder.lock("n") as first, folder.lock("n") as second, folder.lock("other") as other:
        assert first != second
        assert other == first  # the name of the replica; leases are a node's


def test_two_folders_are_two_replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_UID", raising=False)
    with (
        StateFolder(tmp_path / "a").lock("n") as first,
        StateFolder(tmp_path / "b").lock("n") as second,
    ):
        assert first != second


def test_in_a_pod_the_name_is_its_uid() -> None:
    assert replica_identity("token", {"POD_UID": "1234"}) == "1234"


def test_the_default_folder_follows_the_environment() -> None:
    assert default_folder({"XDG_STATE_HOME": "/x"}) == Path("/x/virtual-kubelet")
    assert default_folder({"XDG_STATE_HOME": "relative"}).is_absolute()


@pytest.mark.parametrize("name", ["", "a/b", "../a"])
def test_a_node_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError), StateFolder(tmp_path).lock(name):
        pass


@pytest.mark.field
@pytest.mark.parametrize("name", ["A", "a_b", "a..b", "-a", "a-", "a" * 254, "a\n"])
def test_a_node_name_that_the_api_server_would_refuse_is_refused(tmp_path: Path, name: str) -> None:
    refused = pytest.raises(ConfigError, match="expected a DNS subdomain")
    with refused, StateFolder(tmp_path).lock(name):
        pass


@pytest.mark.field
@pytest.mark.parametrize("length", [63, 64, 250, 253])
def test_a_node_name_may_be_as_long_as_the_api_server_takes(tmp_path: Path, length: int) -> None:
    with StateFolder(tmp_path).lock("a" * length) as first:
        pass
    with StateFolder(tmp_path).lock("a" * length) as second:
        assert first == second


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="state folder"), StateFolder(tmp_path / "file").lock("n"):
        pass
