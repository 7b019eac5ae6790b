"""Settings are read or refused by name; health says what is wrong."""

import itertools
import json
import logging

import aiohttp
import kopf
import pytest
from prometheus_client import CollectorRegistry, Counter

from tidegate.shell import handlers, http, logs
from tidegate.shell.settings import SettingsError, load

GOOD = {"TIDEGATE_IMAGE": "img:1", "TIDEGATE_GUARD_RESOURCES": '{"requests": {"cpu": "20m"}}'}


def test_settings_come_from_the_environment_and_identity_is_new_each_time() -> None:
    first, second = load(GOOD), load(GOOD)
    assert first.guard_resources == {"requests": {"cpu": "20m"}}
    assert first.identity != second.identity


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"TIDEGATE_IMAGE": ""}, "TIDEGATE_IMAGE"),
        ({"TIDEGATE_GUARD_RESOURCES": "{"}, "TIDEGATE_GUARD_RESOURCES: expected JSON"),
        ({"TIDEGATE_GUARD_RESOURCES": "[]"}, "expected a JSON object"),
        ({"TIDEGATE_PULL_POLICY": "Sometimes"}, "TIDEGATE_PULL_POLICY: expected one of Always"),
        ({"TIDEGATE_LOG_LEVEL": "LOUD"}, "TIDEGATE_LOG_LEVEL"),
        ({"TIDEGATE_HTTP_PORT": "http"}, "TIDEGATE_HTTP_PORT"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load({**GOOD, **change})


async def test_probes_tell_what_is_wrong_and_metrics_are_served() -> None:
    registry = CollectorRegistry()
    Counter("things", "of a kind", registry=registry).inc(3)
    trouble = ["event loop is late"]
    runner = await http.serve(0, registry, healthy=lambda: trouble[0], ready=lambda: "")
    port = next(address[1] for address in runner.addresses if len(address) == 2)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/healthz") as answer:
            assert (answer.status, await answer.text()) == (503, "event loop is late")
        trouble[0] = ""
        async with session.get("/healthz") as answer:
            assert answer.status == 200
        async with session.get("/metrics") as answer:
            assert "things_total 3.0" in await answer.text()
    await runner.cleanup()


def test_kopf_waits_for_ever_with_bounded_pauses() -> None:
    pauses = list(itertools.islice(handlers.Backoffs(), 50))
    assert all(0 < pause <= 2 for pause in pauses)


def test_kopf_is_configured_to_watch_and_nothing_else() -> None:
    settings = kopf.OperatorSettings()
    handlers.configure(settings)
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert settings.watching.server_timeout == 300


def test_logs_are_one_json_object_a_line() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 1, "two\nlines %s", ("x",), None)
    parsed = json.loads(logs.JsonFormatter().format(record))
    assert (parsed["message"], parsed["level"]) == ("two\nlines x", "info")
