"""The informer's loop on a scripted FAKE KubeApi and a clock of its own."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tidegate.kube import informer as module
from tidegate.kube.api import (
    PODS,
    Forbidden,
    Gone,
    ListResult,
    TooManyRequests,
    Unavailable,
    WatchEvent,
)
from tidegate.kube.informer import BACKOFF_LAST, Informer

Step = Any


def obj(version: int, name: str = "a") -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def told(version: int, kind: Any = "MODIFIED") -> WatchEvent:
    return WatchEvent(kind, obj(version))


class Desk:
    """Plays `script` one step per call: a list of events or an error for a watch, a version or an
    error for a list. Cancels the informer at its end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *script: Step) -> None:
        self.script = list(script)
        self.now = 100.0
        self.pauses: list[float] = []
        self.calls: list[str] = []
        self.replaced: list[list[Any]] = []
        self.changed: list[tuple[str, bool]] = []
        monkeypatch.setattr(module.asyncio, "sleep", self._sleep)
        self.informer = Informer(
            self,  # type: ignore[arg-type]
            PODS,
            lambda: self.now,
            random.Random(1),
            on_replace=self.replaced.append,
            on_change=lambda o, exists: self.changed.append(
                (o["metadata"]["resourceVersion"], exists)
            ),
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def _next(self) -> Step:
        if not self.script:
            raise asyncio.CancelledError
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def list(self, *_: Any, **__: Any) -> ListResult:
        self.calls.append("list")
        return ListResult([obj(1)], str(self._next()))

    async def watch(self, *_: Any, resource_version: str, **__: Any) -> AsyncIterator[WatchEvent]:
        self.calls.append(f"watch {resource_version}")
        for event in self._next():
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                self.now += event
                continue
            yield event

    async def play(self) -> "Desk":
        with pytest.raises(asyncio.CancelledError):
            await self.informer.run()
        return self


BROKEN = Unavailable(0, "ConnectionFailed", "broke")
OLD = Gone(410, "Expired", "too old")


async def test_a_watch_that_breaks_goes_on_after_the_last_object_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await Desk(monkeypatch, 5, [told(6), told(7), BROKEN], [told(8)]).play()
    assert desk.calls == ["list", "watch 5", "watch 7", "watch 8"]
    assert desk.changed == [("6", True), ("7", True), ("8", True)]
    assert len(desk.pauses) == 1


async def test_a_bookmark_moves_on_without_telling_anybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await Desk(monkeypatch, 5, [told(9, "BOOKMARK"), BROKEN], []).play()
    assert desk.calls[:3] == ["list", "watch 5", "watch 9"]
    assert desk.changed == []


async def test_a_deletion_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = await Desk(monkeypatch, 5, [told(6, "DELETED")]).play()
    assert desk.changed == [("6", False)]


async def test_gone_lists_anew_at_once_but_slows_down_when_that_does_not_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await Desk(monkeypatch, 5, [OLD], 6, [OLD], 7, [OLD], 8, [told(9)]).play()
    assert desk.calls[:4] == ["list", "watch 5", "list", "watch 6"]
    assert len(desk.replaced) == 4
    assert len(desk.pauses) == 2
    assert desk.informer.failures == 0


async def test_a_server_that_ends_each_watch_at_once_is_not_hammered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await Desk(monkeypatch, 5, [], [], []).play()
    assert len(desk.pauses) == 3


async def test_a_quiet_watch_that_ends_at_its_time_is_begun_again_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await Desk(monkeypatch, 5, [300.0], [300.0]).play()
    assert desk.calls == ["list", "watch 5", "watch 5", "watch 5"]
    assert desk.pauses == []


async def test_pauses_are_jittered_bounded_and_end_with_the_first_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = await Desk(
        monkeypatch, *[BROKEN] * 20, 5, [Forbidden(403, "", "no")], [told(6), BROKEN]
    ).play()
    assert len(desk.pauses) == 22
    assert all(0.05 <= pause <= BACKOFF_LAST for pause in desk.pauses)
    assert len(set(desk.pauses)) == 22
    assert max(desk.pauses[:3]) <= 0.8
    assert desk.pauses[-1] <= module.BACKOFF_FIRST


async def test_a_server_that_says_when_to_come_again_is_obeyed_within_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = TooManyRequests(429, "", "slow", retry_after=7.0)
    slower = TooManyRequests(429, "", "slower", retry_after=3600.0)
    desk = await Desk(monkeypatch, slow, slower, 5).play()
    assert desk.pauses == [7.0, module.PAUSE_MOST]


async def test_contact_is_when_the_api_last_spoke(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, 5, [10.0, told(6), 20.0, BROKEN])
    assert not desk.informer.synced
    await desk.play()
    assert desk.informer.synced
    assert desk.informer.contact == 110.0
