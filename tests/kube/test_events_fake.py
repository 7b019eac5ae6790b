"""Events said again only count up; a FAKE KubeApi that refuses is survived."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.kube.api import EVENTS, Conflict, KubeApi, NotFound, Unavailable
from tidegate.kube.events import MOST_WAITING, PARALLEL, EventRecorder

STRATEGY = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "Strategy",
    "metadata": {"name": "s", "namespace": "ns", "uid": "u-1"},
}


class FakeApi:
    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.patched: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.block: asyncio.Event | None = None
        self.under_way = self.most_under_way = 0

    async def _answer(self) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self.block is not None:
            await self.block.wait()
        self.under_way -= 1
        if self.error is not None:
            raise self.error

    async def create(self, resource: object, body: Any, namespace: str) -> Any:
        assert (resource, namespace) == (EVENTS, "ns")
        await self._answer()
        self.created.append(body)

    async def merge_patch(self, resource: object, name: str, namespace: str, body: Any) -> Any:
        await self._answer()
        self.patched.append({"name": name, **body})


class Desk:
    def __init__(self) -> None:
        self.api = FakeApi()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        api: KubeApi = self.api  # type: ignore[assignment]
        self.recorder = EventRecorder(api, lambda: self.now, "tidegate", "op-0")

    async def say(self, message: str = "hello", obj: Any = STRATEGY) -> None:
        self.recorder.record(obj, "Admitted", message)
        for _ in range(5):
            await asyncio.sleep(0)

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)


async def test_an_event_names_its_object_and_who_says_so() -> None:
    desk = Desk()
    await desk.say()
    (event,) = desk.api.created
    assert event["involvedObject"] == {
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Strategy", "namespace": "ns", "name": "s",
        "uid": "u-1",
    }  # fmt: skip
    assert (event["reason"], event["message"], event["type"]) == ("Admitted", "hello", "Normal")
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert (event["reportingComponent"], event["reportingInstance"]) == ("tidegate", "op-0")


async def test_the_same_words_count_up_at_most_once_a_minute() -> None:
    desk = Desk()
    for _ in range(59):
        await desk.say()
        desk.later(seconds=2)
    assert len(desk.api.created) == 1
    assert [patch["count"] for patch in desk.api.patched] == [31]
    assert desk.api.patched[0]["name"] == desk.api.created[0]["metadata"]["name"]


async def test_other_words_another_object_or_ten_minutes_make_a_new_event() -> None:
    desk = Desk()
    await desk.say()
    await desk.say("other")
    await desk.say(obj={**STRATEGY, "metadata": {**STRATEGY["metadata"], "uid": "u-2"}})  # type: ignore[dict-item]
    desk.later(minutes=10)
    await desk.say()
    names = [event["metadata"]["name"] for event in desk.api.created]
    assert len(set(names)) == 4


@pytest.mark.parametrize("name", ["a" * 39 + "-b", "a" * 38 + ".-b", "x" * 253])
async def test_the_name_of_an_event_is_one_that_kubernetes_takes(name: str) -> None:
    desk = Desk()
    await desk.say(obj={"metadata": {"name": name, "namespace": "ns", "uid": "u"}})
    made = desk.api.created[0]["metadata"]["name"]
    assert len(made) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", made)


@pytest.mark.parametrize("error", [Unavailable(0, "", "down"), Conflict(409, "", "twice")])
async def test_a_refused_event_is_logged_and_tried_again_when_said_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    desk.api.error = error
    await desk.say()
    assert "Admitted about s not written" in caplog.text
    desk.api.error = None
    await desk.say()
    assert len(desk.api.created) == 1


async def test_an_event_that_expired_meanwhile_is_no_trouble() -> None:
    desk = Desk()
    await desk.say()
    desk.later(minutes=2)
    desk.api.error = NotFound(404, "", "gone")
    await desk.say()
    assert desk.api.patched == []


async def test_a_flood_is_written_a_few_at_a_time_and_cut() -> None:
    desk = Desk()
    desk.api.block = asyncio.Event()
    for number in range(MOST_WAITING + 50):
        desk.recorder.record(STRATEGY, "Admitted", str(number))
    await asyncio.sleep(0)
    desk.api.block.set()
    async with asyncio.timeout(5):
        while desk.recorder._tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(desk.api.created) == MOST_WAITING
    assert desk.api.most_under_way == PARALLEL
