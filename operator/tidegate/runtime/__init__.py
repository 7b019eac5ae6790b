"""The strategy SDK: write a class, run it on paper and live, halt when the permit says so.

`Strategy` is the base class of an algorithm; `tidegate run MODULE:CLASS` runs it.
"""

from tidegate.runtime.strategy import Context, Fill, Strategy, Tick

__all__ = ["Context", "Fill", "Strategy", "Tick"]
