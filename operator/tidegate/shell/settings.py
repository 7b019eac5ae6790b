"""Settings from the environment, frozen at start."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class SettingsError(Exception):
    """A setting is missing or can't be read: names it, what was expected, what was found."""


@dataclass(frozen=True, slots=True)
class Settings:
    namespace: str  # the operator's own: its Leases live there
    identity: str  # unique to this process, so that a restarted pod is another candidate
    image: str  # of the guard
    pull_policy: str
    guard_resources: dict[str, Any]
    port: int
    log_level: str


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_POLICIES = ("Always", "IfNotPresent", "Never")


def _one_of(environ: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = environ.get(name, default)
    if value not in allowed:
        raise SettingsError(f"{name}: expected one of {', '.join(allowed)}, was {value!r}")
    return value


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (the process's own by default). Raises SettingsError."""
    env = os.environ if environ is None else environ
    image = env.get("TIDEGATE_IMAGE", "")
    if not image:
        raise SettingsError("TIDEGATE_IMAGE: expected the guard's image, was unset")
    raw = env.get("TIDEGATE_GUARD_RESOURCES", "{}")
    try:
        resources = json.loads(raw)
    except ValueError as error:
        raise SettingsError(f"TIDEGATE_GUARD_RESOURCES: expected JSON, was {raw!r}") from error
    if not isinstance(resources, dict):
        raise SettingsError(f"TIDEGATE_GUARD_RESOURCES: expected a JSON object, was {raw!r}")
    port = env.get("TIDEGATE_HTTP_PORT", "8080")
    if not port.isdigit():
        raise SettingsError(f"TIDEGATE_HTTP_PORT: expected a port number, was {port!r}")
    return Settings(
        namespace=env.get("TIDEGATE_NAMESPACE", "tidegate-system"),
        identity=f"{env.get('TIDEGATE_POD_NAME', 'operator')}_{uuid.uuid4().hex[:8]}",
        image=image,
        pull_policy=_one_of(env, "TIDEGATE_PULL_POLICY", "IfNotPresent", _POLICIES),
        guard_resources=resources,
        port=int(port),
        log_level=_one_of(env, "TIDEGATE_LOG_LEVEL", "INFO", _LEVELS),
    )
