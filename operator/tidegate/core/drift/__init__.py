"""Drift of live against paper execution: an e-detector with a proven false-alarm bound.

`bets` holds the hypothesis and the proof, `detector` the statistic, `learner` the reference,
`reversed` the test that lets a gate open again. Pure: no clock, no randomness, no I/O.
"""

from tidegate.core.drift.detector import DriftDetector, SignalState
from tidegate.core.drift.learner import ReferenceLearner
from tidegate.core.drift.reference import Reference, declared_reference
from tidegate.core.drift.reversed import ReversedTest
from tidegate.core.drift.signal import FAMILIES, SignalSpec

__all__ = [
    "FAMILIES",
    "DriftDetector",
    "Reference",
    "ReferenceLearner",
    "ReversedTest",
    "SignalSpec",
    "SignalState",
    "declared_reference",
]
