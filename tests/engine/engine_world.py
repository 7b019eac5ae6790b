"""The engine's parts around a FAKE apiserver."""

import random
from typing import Any

from fake_api import FakeApi

from tidegate.engine.cache import Cache
from tidegate.engine.clock import Clock
from tidegate.engine.context import Context
from tidegate.engine.metrics import Metrics
from tidegate.engine.queue import Key
from tidegate.evidence.guards import GuardStreams
from tidegate.kube.events import EventRecorder
from tidegate.kube.pod import PodSettings


class World:
    """A context that leads, and what it asked for."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.added: list[Key] = []
        self.leads = True
        clock = Clock()
        jitter = random.Random(1)
        session: Any = None  # nothing is connected to
        self.context = Context(
            api=self.api,
            cache=Cache(),
            clock=clock,
            metrics=Metrics(),
            streams=GuardStreams(session, clock.monotonic, jitter, lambda *_: None),
            events=EventRecorder(self.api, clock.now, component="t", instance="t"),
            pod=PodSettings("img:1", "Never", "tidegate-system"),
            leading=lambda: self.leads,
            add=self.added.append,
            random=jitter,
            term=1,
        )
