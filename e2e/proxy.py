"""The Kubernetes API as plain HTTP on loopback, by `kubectl proxy`.

A kubectl process costs a tenth of a second of CPU; polling with one would disturb what is measured.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cluster.errors import ClusterError
from cluster.kubectl import Kubectl

PATHS = {
    "strategy": "/apis/tidegate.dev/v1alpha1/namespaces/{ns}/strategies",
    "driftgate": "/apis/tidegate.dev/v1alpha1/namespaces/{ns}/driftgates",
    "gatetransition": "/apis/tidegate.dev/v1alpha1/namespaces/{ns}/gatetransitions",
    "pod": "/api/v1/namespaces/{ns}/pods",
    "resourcequota": "/api/v1/namespaces/{ns}/resourcequotas",
    "lease": "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
}


@dataclass(frozen=True)
class Api:
    """Reads and posts through one running `kubectl proxy`."""

    base: str

    def text(self, path: str, *, body: Any = None, patch: bool = False, timeout: float = 10) -> str:
        """GET, or POST or PATCH a JSON `body`. Raises ClusterError with the server's words."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.base + path, data=data, method="PATCH" if patch else None
        )
        if data is not None:
            kind = "merge-patch+json" if patch else "json"
            request.add_header("Content-Type", f"application/{kind}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            found = f"{error.code} {error.read().decode(errors='replace')[:500]}"
            raise ClusterError(f"{request.get_method()} {path}", found=found) from error
        except OSError as error:
            raise ClusterError(f"{request.get_method()} {path}", found=str(error)) from error

    def json(self, path: str, *, body: Any = None) -> Any:
        return json.loads(self.text(path, body=body))

    def patch(self, path: str, body: Any) -> None:
        self.text(path, body=body, patch=True)

    def get(self, kind: str, namespace: str, name: str) -> Any:
        return self.json(PATHS[kind].format(ns=namespace) + "/" + name)

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Any]:
        query = f"?labelSelector={selector}" if selector else ""
        items: list[Any] = self.json(PATHS[kind].format(ns=namespace) + query)["items"]
        return items


@contextlib.contextmanager
def proxied(kubectl: Kubectl) -> Iterator[Api]:
    """An Api for as long as the block runs."""
    process = subprocess.Popen(
        # All paths: the default refuses the pods' proxy subresource.
        kubectl.argv("proxy", "--port=0", "--address=127.0.0.1", "--reject-paths=^$"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        if found is None:
            raise ClusterError("kubectl proxy", expected="its address", found=line or "nothing")
        yield Api(f"http://{found.group()}")
    finally:
        process.terminate()
        process.wait(10)
