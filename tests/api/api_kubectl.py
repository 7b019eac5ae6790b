"""kubectl as users have it, and what it answers."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What kubectl said, and whether it went well."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Kubectl:
    program: Path
    kubeconfig: str
    namespace: str

    def __call__(self, *words: str, stdin: Any = None) -> Answer:
        """Run kubectl in the test's namespace; `stdin` is sent as JSON."""
        done = subprocess.run(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", "-n", self.namespace, *words],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Answer(done.returncode == 0, done.stdout + done.stderr)

    def do(self, *words: str, stdin: Any = None) -> str:
        """As a call, but failing the test where it fails."""
        answer = self(*words, stdin=stdin)
        assert answer.ok, f"kubectl {' '.join(words)}: {answer.text}"
        return answer.text

    def try_create(self, manifest: dict[str, Any]) -> Answer:
        """All of the apiserver's judgement of a new object, without making it."""
        return self(
            "create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-",
            stdin=manifest,
        )  # fmt: skip
