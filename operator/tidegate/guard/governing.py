"""Which gates govern this strategy, as the API tells it. Pure.

What can't be read governs and halts: a gate of a newer version may well select this strategy.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.api.meta import ANNOTATION_ON_DELETE, ON_DELETE_RELEASE
from tidegate.api.strategy import OrphanedBy, StrategyStatus
from tidegate.api.wire import Fault
from tidegate.core.drift import Reference
from tidegate.core.selector import matches
from tidegate.guard.gatewatch import GateWatch
from tidegate.guard.references import digest

log = logging.getLogger(__name__)

Object = dict[str, Any]


@dataclass
class Gate:
    """A gate of the namespace. `watch` is None unless it governs; `error` says why it is unread."""

    name: str
    spec: DriftGateSpec
    status: DriftGateStatus
    releases: bool
    error: str = ""
    watch: GateWatch | None = None
    digest: str = ""

    @property
    def unreadable(self) -> tuple[Fault, ...]:
        return (Fault("invalid", "GateUnreadable", self.error),) if self.error else ()


class Governing:
    """Feed it the objects of the two watches. `saved(gate, digest)` finds learned references."""

    def __init__(
        self,
        strategy: str,
        *,
        paper: bool,
        saved: Callable[[str, str], Mapping[str, Reference]],
        warm_up: int = 0,
    ) -> None:
        self._strategy = strategy
        self._paper = paper
        self._saved = saved
        self._warm_up = warm_up
        self._gates: dict[str, Gate] = {}
        self._labels: Mapping[str, str] | None = None
        self._orphaned: dict[str, OrphanedBy] = {}
        self._deleted: set[str] = set()
        self.suspend = False

    @property
    def known(self) -> bool:
        """Whether the Strategy itself was seen: without its labels nothing can select it."""
        return self._labels is not None

    @property
    def gates(self) -> list[Gate]:
        """Those that govern, by name."""
        return sorted(
            (g for g in self._gates.values() if g.watch is not None or g.error),
            key=lambda g: g.name,
        )

    @property
    def existing(self) -> Collection[str]:
        """Names of all gates of the namespace."""
        return self._gates.keys()

    @property
    def orphaned_by(self) -> list[OrphanedBy]:
        """Deleted gates that governed this strategy.

        A gate that is seen to vanish halts here at once; the operator's word follows in the
        Strategy's status, and from then on that counts.
        """
        pending = sorted(self._deleted - self._orphaned.keys())
        return [*self._orphaned.values(), *(OrphanedBy(gate=name) for name in pending)]

    def strategy(self, item: Object | None) -> None:
        """The Strategy as it is now; None when it is gone."""
        if item is None:
            self._labels, self.suspend = None, False
        else:
            self.suspend = bool((item.get("spec") or {}).get("suspend"))
            self._labels = dict(item["metadata"].get("labels") or {})
            try:
                status = StrategyStatus.model_validate(item.get("status") or {})
                self._orphaned = {o.gate: o for o in status.orphaned_by}
            except ValidationError as error:
                # Kept as it was: an unreadable status releases nothing.
                log.warning("strategy %s: status: %s", self._strategy, _brief(error))
            self._deleted -= self._orphaned.keys()
        for gate in self._gates.values():
            self._select(gate)

    def replace(self, items: list[Object]) -> None:
        """All gates of the namespace; those that are missing were deleted."""
        names = {item["metadata"]["name"] for item in items}
        for name in self._gates.keys() - names:
            self._remove(name)
        for item in items:
            self.change(item, True)

    def change(self, item: Object, exists: bool) -> None:
        """One gate as it is now."""
        name = str(item["metadata"]["name"])
        if not exists:
            # The last words of an object decide what its end means.
            if name in self._gates:
                self._gates[name].releases = _releases(item)
            self._remove(name)
            return
        old = self._gates.get(name)
        gate = self._read(name, item, old)
        self._gates[name] = gate
        self._deleted.discard(name)
        self._select(gate, old.watch if old is not None else None)
        if gate.watch is not None:
            gate.watch.apply(gate.status)

    def _read(self, name: str, item: Object, old: Gate | None) -> Gate:
        releases = _releases(item)
        try:
            spec = DriftGateSpec.model_validate(item.get("spec") or {})
            status = DriftGateStatus.model_validate(item.get("status") or {})
        except ValidationError as error:
            text = f"gate {name}: {_brief(error)}; is this guard older than the gate?"
            log.warning("%s", text)
            return Gate(name, DriftGateSpec(), DriftGateStatus(), releases, error=text)
        wanted = digest(spec, paper=self._paper)
        watch = old.watch if old is not None and old.digest == wanted else None
        if watch is not None:
            watch.update_spec(spec)
        return Gate(name, spec, status, releases, watch=watch, digest=wanted)

    def _select(self, gate: Gate, replaced: GateWatch | None = None) -> None:
        if gate.error and gate.watch is None and not gate.digest:
            return  # could not be read: it governs until it can be
        selected = self._labels is not None and matches(gate.spec.strategies, self._labels)
        if not selected:
            gate.watch, gate.error = None, ""
        elif gate.watch is None and not gate.error:
            try:
                gate.watch = GateWatch(
                    gate.name, gate.spec, paper=self._paper,
                    saved=self._saved(gate.name, gate.digest), warm_up=self._warm_up,
                )  # fmt: skip
            except (ValueError, ArithmeticError) as error:
                gate.error = str(error)
                log.warning("%s", error)
                return
            if replaced is not None:
                gate.watch.inherit(replaced)
            gate.watch.apply(gate.status)

    def _remove(self, name: str) -> None:
        gate = self._gates.pop(name, None)
        if gate is not None and not gate.releases and (gate.watch is not None or gate.error):
            self._deleted.add(name)


def _releases(item: Object) -> bool:
    annotations = item["metadata"].get("annotations") or {}
    return annotations.get(ANNOTATION_ON_DELETE) == ON_DELETE_RELEASE


def _brief(error: ValidationError) -> str:
    """The first error in one line: field, expectation, found."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}, was {str(first['input'])[:64]!r}"
