"""Kubernetes Events, deduplicated: the same thing said again only counts up."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tidegate.kube.api import EVENTS, KubeApi, KubeError, NotFound, Object

log = logging.getLogger(__name__)

SAME_FOR = timedelta(minutes=10)
COUNT_EVERY = timedelta(minutes=1)
MOST_REMEMBERED = 4096


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
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()
        stamp = f"{int(now.timestamp()):x}"
        said = _Said(f"{meta['name'][:40]}.{key}.{stamp}", now, now, 1)
        self._said[key] = said
        self._start(self._create(obj, said, reason, message, warning=warning))

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _create(
        self, obj: Object, said: _Said, reason: str, message: str, *, warning: bool
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
