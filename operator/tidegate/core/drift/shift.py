"""How large the shift is, since when, and with what confidence, at any moment.

Windows. Sums of w = clip(y/s, ±8) are kept in an exponential histogram (Datar, Gionis, Indyk,
Motwani 2002): leaves of 8 events, at most four buckets of a size before two merge. Any suffix of
the stream that starts at a bucket's edge can be read, in memory that grows with ln n.

Interval. For a window starting at leaf k, Σ (w - E[w | past]) is sub-exponential with variance
process V = Σ w² and scale 8 (Fan, Grama, Liu 2015, with the predictable guess 0), so the stitched
boundary of Howard, Ramdas, McAuliffe, Sekhon (2021, Theorem 1) holds at all times at once. Windows
share the error α by α / (k (k + 1)): all intervals of all windows at all times hold together with
probability 1 - α, which makes it legitimate to *choose* the window by looking at the data.
"""

from __future__ import annotations

import math

from tidegate.core.drift.codec import as_count, as_float, as_floats, as_list, field

WIDE = 8.0
"""Clip of the estimate, in scales: it can be read as a mean, and reads at most this."""

LEAF = 8
_PER_SIZE = 4
_STITCH = 1.4  # exponent s of h(k) = (k + 1)^s ζ(s)
_ZETA = 3.105473  # ζ(1.4), rounded up
_K1 = (2.0**0.25 + 2.0**-0.25) / math.sqrt(2.0)  # η = 2
_K2 = (math.sqrt(2.0) + 1.0) / 2.0


def radius(variance: float, events: int, log_inverse_alpha: float) -> float:
    """One-sided half-width of the mean of ``events`` values in [-8, 8] with Σ w² = ``variance``."""
    v = max(variance, 1.0)
    cost = _STITCH * math.log(1.0 + math.log2(v)) + math.log(_ZETA) + log_inverse_alpha
    linear = _K2 * WIDE * cost
    return (math.sqrt(_K1 * _K1 * v * cost + linear * linear) + linear) / max(events, 1)


class ShiftWindow:
    """Recent history of w, compressed; ``add`` is constant time on average."""

    __slots__ = ("buckets", "count", "square", "total")

    def __init__(self) -> None:
        self.count = 0  # events of the open leaf
        self.total = 0.0
        self.square = 0.0
        # Oldest first: (leaves, Σ w, Σ w²).
        self.buckets: list[tuple[int, float, float]] = []

    def close_leaf(self) -> None:
        """Turn the open leaf into a bucket and merge the oldest two of every size in excess."""
        buckets = self.buckets
        buckets.append((1, self.total, self.square))
        self.count, self.total, self.square = 0, 0.0, 0.0
        end, size = len(buckets), 1
        while True:
            start = end
            while start > 0 and buckets[start - 1][0] == size:
                start -= 1
            if end - start <= _PER_SIZE:
                return
            a, b = buckets[start], buckets[start + 1]
            buckets[start : start + 2] = [(2 * size, a[1] + b[1], a[2] + b[2])]
            end, size = start + 1, 2 * size

    def estimate(self, alpha: float, drifting: bool) -> tuple[float, float, float, int]:
        """(mean, low, high, events) of w over the window that explains the present best.

        That is the whole history, unless a suffix of it stands out from what came before by more
        than chance allows, or (a lower bar) once the evidence has said ``drifting``. Units are
        scales. (0, -8, 8, 0) when nothing was seen.
        """
        if not self.buckets and not self.count:
            return 0.0, -WIDE, WIDE, 0
        leaves = sum(bucket[0] for bucket in self.buckets)
        n_all = leaves * LEAF + self.count
        s_all = self.total + math.fsum(bucket[1] for bucket in self.buckets)
        q_all = self.square + math.fsum(bucket[2] for bucket in self.buckets)
        least = 9.0 if drifting else 9.0 + 2.0 * math.log(n_all)
        best = (least, n_all, s_all, q_all, 1)
        n, s, q, k = self.count, self.total, self.square, leaves + 1
        for size, total, square in reversed(self.buckets):
            if n:
                # Two-sample contrast of this suffix with all that came before it.
                before = n_all - n
                rest = s_all - s
                noise = (q_all - s * s / n - rest * rest / before) / n_all + 1e-9
                gap = s / n - rest / before
                contrast = gap * gap * n * before / (n_all * noise)
                if contrast > best[0]:
                    best = (contrast, n, s, q, k)
            n, s, q, k = n + size * LEAF, s + total, q + square, k - size
        _, n, s, q, k = best
        mean = s / n
        half = radius(q, n, math.log(2.0 / alpha) + math.log(k) + math.log(k + 1))
        return mean, max(mean - half, -WIDE), min(mean + half, WIDE), n

    def to_dict(self) -> dict[str, object]:
        """JSON-safe state."""
        return {
            "open": [self.count, self.total, self.square],
            "buckets": [list(bucket) for bucket in self.buckets],
        }

    @classmethod
    def from_dict(cls, payload: object) -> ShiftWindow:
        """Inverse of to_dict; ValueError names the field."""
        owner = "shift window"
        if not isinstance(payload, dict):
            raise ValueError(f"{owner}: expected an object, found {payload!r}")
        window = cls()
        opened = as_list(field(payload, owner, "open"), owner, "open", 3)
        window.count = as_count(opened[0], owner, "open")
        if window.count >= LEAF:
            raise ValueError(f"{owner}: open must hold fewer than {LEAF}, found {window.count}")
        window.total = as_float(opened[1], owner, "open")
        window.square = as_float(opened[2], owner, "open")
        for item in as_list(field(payload, owner, "buckets"), owner, "buckets"):
            parts = as_list(item, owner, "buckets", 3)
            leaves = as_count(parts[0], owner, "buckets")
            if leaves < 1:
                raise ValueError(f"{owner}: buckets must hold at least one leaf, found {leaves}")
            total, square = as_floats(parts[1:], owner, "buckets", 2)
            window.buckets.append((leaves, total, square))
        return window
