"""A real guard process whose KubeApi alone is a fake: one Open gate, a heartbeat every 0.2 s.

Prints its port. Each line on stdin is a gate to put, as JSON.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import replace

from fake_kube import DRIFTGATES, LEASES, STRATEGIES, FakeKubeApi, gate, lease, strategy

from tidegate.guard.config import GuardConfig
from tidegate.guard.main import run_guard


async def main() -> None:
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    api.put(DRIFTGATES, gate())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin, lambda: put(api, sys.stdin.readline()))

    async def beat() -> None:
        for number in range(10**9):
            api.put(LEASES, lease(number))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(beat())
    config = replace(GuardConfig.from_env(os.environ), host="127.0.0.1", port=0)
    await run_guard(config, api, stop=stop, on_ready=lambda port: print(port, flush=True))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def put(api: FakeKubeApi, line: str) -> None:
    if line:
        api.put(DRIFTGATES, json.loads(line))
    else:
        asyncio.get_running_loop().remove_reader(sys.stdin)


asyncio.run(main())
