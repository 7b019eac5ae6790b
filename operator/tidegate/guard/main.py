"""`tidegate guard`: the sidecar that halts its strategy when live drifts from paper."""

import asyncio
import gc
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from tidegate.api.meta import HEARTBEAT_LEASE
from tidegate.api.wire import PERMIT_FILE, REFERENCE_FILE, REPORT_SOCKET
from tidegate.guard.config import ConfigError, GuardConfig
from tidegate.guard.metrics import GuardCollector
from tidegate.guard.permit_file import PermitFile
from tidegate.guard.references import ReferenceStore
from tidegate.guard.reports import ReportSocket
from tidegate.guard.server import EvidenceServer
from tidegate.guard.sidecar import REFRESH_EVERY, Sidecar
from tidegate.kube.api import DRIFTGATES, LEASES, STRATEGIES, KubeApi
from tidegate.kube.client import AiohttpKubeApi
from tidegate.kube.config import ConfigError as KubeConfigError
from tidegate.kube.config import load_config
from tidegate.kube.informer import Informer

log = logging.getLogger(__name__)

FIT_EVERY = 0.25
# A refresh this late means that the loop is stuck: the kubelet may restart us.
STUCK_AFTER = 5.0


async def run_guard(
    config: GuardConfig,
    api: KubeApi,
    *,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[int], None] = lambda port: None,
) -> None:
    """Guard until `stop` is set (without one: until cancelled). `on_ready` gets the HTTP port.

    The permit is Halted before anything else happens and when this returns. Raises OSError when
    the run directory or the port can't be had.
    """
    # The volume lives as long as the pod: a permit that is there was a former guard's.
    restarted = (config.run_dir / PERMIT_FILE).exists()
    permit = PermitFile(config.run_dir / PERMIT_FILE)
    store = ReferenceStore(config.run_dir / REFERENCE_FILE)
    sidecar = Sidecar(config, store, permit.write)
    if restarted:
        sidecar.restarted()
    sidecar.refresh()
    registry = CollectorRegistry()
    registry.register(GuardCollector(sidecar, config.strategy, config.namespace))

    def healthy() -> bool:
        return time.monotonic_ns() - sidecar.refreshed < STUCK_AFTER * 1e9

    server = EvidenceServer(sidecar.evidence, lambda: True, healthy, registry)
    sidecar.on_change = server.notify
    async with AsyncExitStack() as stack:
        stack.callback(permit.close)
        stack.callback(sidecar.halt, "Stopping")
        reports = ReportSocket(config.run_dir / REPORT_SOCKET, sidecar.receive)
        stack.callback(reports.close)
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1.0)
        stack.push_async_callback(runner.cleanup)
        stack.callback(server.close)
        await runner.setup()
        await web.TCPSite(runner, config.host, config.port).start()
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("refresh", _refresh(sidecar)),
                ("fit", _fit(sidecar)),
                *(
                    (f"watch {i.resource.plural}", i.run())
                    for i in _informers(config, api, sidecar)
                ),
            )
        ]
        stack.push_async_callback(_end, tasks)
        gc.freeze()  # what start-up made stays: collections need not walk it again
        on_ready(runner.addresses[0][1])
        log.info("guarding %s/%s", config.namespace, config.strategy)
        waiting = asyncio.create_task((stop or asyncio.Event()).wait())
        tasks.append(waiting)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        sidecar.halt("Stopping")
        for task in done - {waiting}:
            task.result()  # none of them ends by itself: an error here ends the guard, halted


async def _end(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _refresh(sidecar: Sidecar) -> None:
    while True:
        sidecar.refresh()
        await asyncio.sleep(REFRESH_EVERY)


async def _fit(sidecar: Sidecar) -> None:
    """Fit references in a thread: a fit of many events takes longer than a permit lives."""
    while True:
        await asyncio.sleep(FIT_EVERY)
        for gate, family, learner in sidecar.to_fit():
            try:
                found: Any = await asyncio.to_thread(learner.finish)
            except (ValueError, ArithmeticError) as error:
                found = ValueError(str(error))
            sidecar.fitted(gate, family, found)


def _informers(config: GuardConfig, api: KubeApi, sidecar: Sidecar) -> list[Informer]:
    jitter = random.Random()  # noqa: S311 - jitter
    return [
        Informer(
            api, STRATEGIES, time.monotonic, jitter,
            on_replace=lambda items: sidecar.strategy(_named(items, config.strategy)),
            on_change=lambda item, exists: sidecar.strategy(item if exists else None),
            namespace=config.namespace,
            field_selector=f"metadata.name={config.strategy}",
        ),
        Informer(
            api, DRIFTGATES, time.monotonic, jitter,
            on_replace=sidecar.gates, on_change=sidecar.gate, namespace=config.namespace,
        ),
        Informer(
            api, LEASES, time.monotonic, jitter,
            on_replace=lambda items: sidecar.lease(_named(items, HEARTBEAT_LEASE)),
            on_change=lambda item, exists: sidecar.lease(item if exists else None),
            namespace=config.operator_namespace,
            field_selector=f"metadata.name={HEARTBEAT_LEASE}",
        ),
    ]  # fmt: skip


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((item for item in items if item["metadata"]["name"] == name), None)


async def _main(config: GuardConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    kube = load_config()
    async with kube.session() as session:
        await run_guard(config, AiohttpKubeApi(session, kube.base_url), stop=stop)


def main(argv: list[str]) -> int:
    """Exit status 2 for a wrong environment, 1 when the guard can't do its work."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if argv:
        print("usage: tidegate guard (settings come from the environment)", file=sys.stderr)
        return 2
    try:
        asyncio.run(_main(GuardConfig.from_env(os.environ)))
    except (ConfigError, KubeConfigError) as error:
        print(f"tidegate guard: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"tidegate guard: {error}", file=sys.stderr)
        return 1
    return 0
