"""Strategy reconciliation: admission per namespace, then pod and status per strategy."""

import logging
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from tidegate.api.meta import set_condition
from tidegate.api.strategy import OrphanedBy, StrategySpec, StrategyStatus
from tidegate.core import admission
from tidegate.core import strategy as core
from tidegate.core.demand import pod_demand
from tidegate.engine import selection
from tidegate.engine.cache import Object
from tidegate.engine.context import Context
from tidegate.engine.queue import Key
from tidegate.kube.api import (
    DRIFTGATES,
    PODS,
    RESOURCEQUOTAS,
    ROLEBINDINGS,
    STRATEGIES,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from tidegate.kube.pod import build_pod, guard_rolebinding, template_hash

log = logging.getLogger(__name__)

# The quota controller lowers `used` some time after a pod is gone; nothing tells us when.
LOOK_AGAIN = 5.0
