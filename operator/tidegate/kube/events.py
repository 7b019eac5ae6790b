"""Kubernetes Events, deduplicated: the same thing said again only counts up."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tidegate.kube.api import EVENTS, KubeApi, KubeError, NotFound, Object

log = logging.getLogger(__name__)

SAME_FOR = timedelta(minutes=10)
COUNT_EVERY = timedelta(minutes=1)
MOST_REMEMBERED = 4096
# Writes under way at a time, and waiting in all: a thousand things said at once must not stand in
# the way of the writes that matter.
PARALLEL = 4
MOST_WAITING = 1000


@dataclass
class _Said:
    name: str
    first: datetime
    written: datetime
    count: int


@dataclass
class EventRecorder:
    """`record` never waits and never raises: an Event is a courtesy, not a record."""

    api: KubeApi
    now: Callable[[], datetime]
    component: str
    instance: str
    _said: dict[str, _Said] = field(default_factory=dict)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))

    def record(self, obj: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Say `message` about `obj`; at most one write a minute for the same words."""
        now = self.now()
        meta = obj["metadata"]
        text = f"{meta.get('uid')}|{reason}|{message}"
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        said = self._said.get(key)
        if said is not None and now - said.first < SAME_FOR:
            said.count += 1
            if now - said.written < COUNT_EVERY:
                return
            said.written = now
            self._start(self._count(meta["namespace"], said, now))
            return
        self._forget(now)
        stamp = f"{int(now.timestamp()):x}"
        # Cut short, a name may end in what a DNS label must not end in.
        said = _Said(f"{meta['name'][:40].rstrip('-.')}.{key}.{stamp}", now, now, 1)
        self._said[key] = said
        self._start(self._create(key, obj, said, reason, message, warning=warning))

    def _forget(self, now: datetime) -> None:
        if len(self._said) < MOST_REMEMBERED:
            return
        for key in [k for k, said in self._said.items() if now - said.first >= SAME_FOR]:
            del self._said[key]
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= MOST_WAITING:
            work.close()
            log.debug("an event was dropped: %d others wait to be written", MOST_WAITING)
            return
        task = asyncio.ensure_future(self._in_turn(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._gate:
            await work

    async def _create(
        self, key: str, obj: Object, said: _Said, reason: str, message: str, *, warning: bool
    ) -> None:
        meta = obj["metadata"]
        at = _seconds(said.first)
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": said.name, "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": obj.get("apiVersion"),
                "kind": obj.get("kind"),
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta.get("uid"),
            },
            "reason": reason,
            "message": message[:1024],
            "type": "Warning" if warning else "Normal",
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "source": {"component": self.component},
            "reportingComponent": self.component,
            "reportingInstance": self.instance,
        }
        try:
            await self.api.create(EVENTS, body, meta["namespace"])
        except KubeError as error:
            self._said.pop(key, None)  # said again, it is tried again
            log.warning("event %s about %s not written: %s", reason, meta["name"], error)

    async def _count(self, namespace: str, said: _Said, now: datetime) -> None:
        body = {"count": said.count, "lastTimestamp": _seconds(now)}
        try:
            await self.api.merge_patch(EVENTS, said.name, namespace, body)
        except NotFound:
            return
        except KubeError as error:
            log.warning("event %s not counted up: %s", said.name, error)


def _seconds(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
