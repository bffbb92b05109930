"""What is remembered of each pod: by UID, never by name alone."""

from __future__ import annotations

from typing import Any

import pytest
from pod_world import STARTED, raw

from vk.models.pod import pod_key
from vk.models.status import PodStatus
from vk.pods.status.facts import StatusFacts
from vk.pods.sync.pod_view import PodView
from vk.pods.sync.records import ProviderState, Records


def version(pod: dict[str, Any], text: str) -> dict[str, Any]:
    return {**pod, "metadata": {**pod["metadata"], "resourceVersion": text}}


def test_two_pods_of_one_name_are_two_records() -> None:
    """B10."""
    records = Records()
    old, new = records.observe(raw(uid="old")), records.observe(raw(uid="new"))
    assert old is not None
    assert new is not None
    old.presumed_present(5.0)
    assert new.provider_state is ProviderState.UNKNOWN
    assert records.named(("default", "p")) == [old, new]
    records.forget(old, 0.0)
    assert records.named(("default", "p")) == [new]
    records.forget(new, 0.0)
    assert (len(records), records.named(("default", "p"))) == (0, [])


@pytest.mark.parametrize(
    ("known", "seen", "news"),
    [("5", "6", True), ("5", "5", False), ("5", "4", False), ("9", "10", True), ("x", "y", True)],
)
def test_an_older_version_and_our_own_write_are_no_news(known: str, seen: str, news: bool) -> None:
    records = Records()
    records.observe(version(raw(), known))
    assert (records.observe(version(raw(), seen)) is not None) is news
    record = records.get("u")
    assert record is not None
    assert record.pod == version(raw(), seen if news else known)


def test_adding_and_forgetting_can_be_repeated() -> None:
    records = Records()
    record = records.add(pod_key(raw()))
    assert records.add(pod_key(raw())) is record
    records.forget(record, 0.0)
    records.forget(record, 0.0)
    assert list(records) == []


def test_the_time_of_a_provider_state_changes_only_with_that_state() -> None:
    record = Records().add(pod_key(raw()))
    record.presumed_present(1.0)
    record.missed(5.0, 30.0)
    assert record.misses == 1
    record.presumed_present(9.0)
    assert (record.provider_state_since, record.misses) == (1.0, 0)
    record.gone(9.0)
    assert record.provider_state_since == 9.0


def test_the_providers_view_has_the_pods_that_the_api_server_has() -> None:
    records = Records()
    records.observe(raw(uid="a"))
    gone = records.observe(raw(uid="b"))
    assert gone is not None
    gone.object_gone()
    view = PodView(records)
    assert (list(view), len(view), view["a"].key.uid) == (["a"], 1, "a")
    assert "b" not in view
    with pytest.raises(KeyError):
        view["b"]


@pytest.mark.field
def test_an_answer_that_is_newer_than_another_writers_object_is_held() -> None:
    """Our status patch was in flight while another writer's change arrived."""
    records = Records()
    record = records.observe(version(raw(), "5"))
    assert record is not None
    before, inputs = record.pod, record.status_inputs()
    assert before is not None
    records.observe(version(raw(), "6"))
    record.status_written(before, version(raw(status={"startTime": STARTED}), "7"), inputs)
    assert record.pod is not None
    assert record.pod["status"]["startTime"] == STARTED
    record.status_written(before, version(raw(), "4"), inputs)
    assert record.pod["metadata"]["resourceVersion"] == "7"
    record.object_gone()
    record.status_written(before, version(raw(), "9"), inputs)
    assert record.pod is None


@pytest.mark.field
def test_the_start_time_of_a_pod_is_chosen_once() -> None:
    record = Records().add(pod_key(raw()))
    record.observed(raw())
    record.reported(PodStatus(record.key), 1.0)
    chosen = []

    def make(pod: Any, facts: StatusFacts) -> None:
        chosen.append(facts.start_time)

    record.status_patch(make)
    record.observed(raw(status={"phase": "Pending"}))
    record.status_patch(make)
    assert len(chosen) == 2
    assert chosen[0] == chosen[1] != ""
    record.observed(raw(status={"phase": "Running", "startTime": STARTED}))
    record.status_patch(make)
    assert chosen[2] == STARTED
