"""The guard's settings, from the environment that the operator gives its container."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.api.wire import GUARD_PORT, RUN_DIR


class ConfigError(Exception):
    """Names the variable, what was expected and what was found."""


@dataclass(frozen=True)
class GuardConfig:
    strategy: str
    namespace: str
    operator_namespace: str
    run_dir: Path = Path(RUN_DIR)
    paper: bool = False
    # Seconds of evidence not learned from: they measure how processes start, not the venue.
    warm_up: float = 3.0
    host: str = "0.0.0.0"  # noqa: S104 - the operator and Prometheus reach it by the pod's address
    port: int = GUARD_PORT  # 0 takes a free one

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "GuardConfig":
        """Raises ConfigError."""

        def needed(name: str) -> str:
            value = env.get(name, "")
            if not value:
                raise ConfigError(f"{name}: expected a value, found none; the operator sets it")
            return value

        mode = env.get("TIDEGATE_MODE", "Live")
        if mode not in ("Paper", "Live"):
            raise ConfigError(f"TIDEGATE_MODE: expected Paper or Live, was {mode!r}")
        port = env.get("TIDEGATE_GUARD_PORT", str(GUARD_PORT))
        if not port.isdecimal() or int(port) > 65_535:
            raise ConfigError(f"TIDEGATE_GUARD_PORT: expected a port, was {port!r}")
        return cls(
            strategy=needed("TIDEGATE_STRATEGY"),
            namespace=needed("TIDEGATE_NAMESPACE"),
            operator_namespace=needed("TIDEGATE_OPERATOR_NAMESPACE"),
            run_dir=Path(env.get("TIDEGATE_RUN_DIR") or RUN_DIR),
            paper=mode == "Paper",
            port=int(port),
        )
