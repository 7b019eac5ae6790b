"""The chart as real Helm renders it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tidegate"
NAMESPACE = "tidegate-system"
Object = dict[str, Any]


class HelmError(Exception):
    """What Helm wrote to standard error."""


@dataclass(frozen=True)
class Helm:
    program: Path

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        """Run Helm. Raises HelmError."""
        done = subprocess.run(
            [str(self.program), *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise HelmError(done.stderr + done.stdout)
        return done.stdout

    def render(self, values: Object | None = None) -> list[Object]:
        """All objects of the chart with `values` on top of its own."""
        text = self(
            "template", "tidegate", str(CHART), "--namespace", NAMESPACE, "--values", "-",
            stdin=json.dumps(values or {}),
        )  # fmt: skip
        return [document for document in yaml.safe_load_all(text) if document]

    def one(self, kind: str, name: str = "tidegate", values: Object | None = None) -> Object:
        """The object of a kind and name; fails the test unless there is just one."""
        (found,) = of(self.render(values), kind, name)
        return found


def of(objects: list[Object], kind: str, name: str | None = None) -> list[Object]:
    return [
        o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])
    ]  # fmt: skip
