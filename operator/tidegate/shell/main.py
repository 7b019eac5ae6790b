"""`tidegate operator`."""

import asyncio
import contextlib
import gc
import logging
import sys

import aiohttp
import kopf

from tidegate.engine.engine import Engine
from tidegate.kube.client import AiohttpKubeApi
from tidegate.kube.config import ConfigError, load_config
from tidegate.kube.pod import PodSettings
from tidegate.shell import handlers, http, logs
from tidegate.shell.settings import Settings, SettingsError, load

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Until SIGTERM, or until kopf gives up (then the kubelet starts us anew)."""
    config = load_config()
    # kopf and the engine share one session: one TLS set-up, one pool, one place for the token.
    async with config.session() as session, aiohttp.ClientSession() as guards:
        api = AiohttpKubeApi(session, config.base_url)
        engine = Engine(
            api=api,
            session=guards,
            namespace=settings.namespace,
            identity=settings.identity,
            pod=PodSettings(
                image=settings.image,
                pull_policy=settings.pull_policy,
                guard_resources=settings.guard_resources,
                operator_namespace=settings.namespace,
            ),
        )
        server = await http.serve(
            settings.port,
            engine.metrics.registry,
            healthy=engine.failed,
            ready=engine.not_ready,
        )
        registry = handlers.registry(
            login=lambda: kopf.AiohttpSession(
                aiohttp_session=session, server=config.base_url, default_namespace=None
            ),
            on_event=engine.on_event,
            on_startup=engine.start,
            on_cleanup=engine.stop,
        )
        freeze = asyncio.create_task(_freeze_when_synced(engine))
        try:
            await kopf.operator(registry=registry, clusterwide=True, standalone=True)
        finally:
            freeze.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await freeze
            await server.cleanup()


async def _freeze_when_synced(engine: Engine) -> None:
    """What was loaded by then lives as long as we do: the collector need not visit it again."""
    await engine.synced.wait()
    gc.collect()
    gc.freeze()


def main(argv: list[str]) -> int:
    """Exit status: 0 stopped, 1 failed, 2 wrong settings."""
    if argv:
        print(f"tidegate operator: takes no arguments, was {argv}", file=sys.stderr)
        return 2
    try:
        settings = load()
        logs.setup(settings.log_level)
        asyncio.run(run(settings))
    except (SettingsError, ConfigError) as error:
        print(f"tidegate operator: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        log.error("operator ended: %s", error, exc_info=error)
        return 1
    return 0
