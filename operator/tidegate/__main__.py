"""`tidegate COMMAND`: every process of the project starts here.

Commands import their module only when chosen: a guard must not wait for kopf.
"""

import sys
from collections.abc import Callable
from importlib import import_module

COMMANDS = {
    "operator": ("tidegate.shell.main", "run the operator"),
    "guard": ("tidegate.guard.main", "run the guard sidecar of a strategy"),
    "run": ("tidegate.runtime.main", "run a strategy: MODULE:CLASS"),
    "venue": ("tidegate.runtime.venue.main", "run the simulated live venue"),
    "crds": ("tidegate.api.crd", "write the CustomResourceDefinitions: DIR"),
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: tidegate COMMAND [ARG ...]", "", *lines])


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status, 2 for a wrong call."""
    args = sys.argv[1:] if argv is None else argv
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else 2
    if args[0] not in COMMANDS:
        print(f"tidegate: unknown command {args[0]!r}\n{usage()}", file=sys.stderr)
        return 2
    run: Callable[[list[str]], int] = import_module(COMMANDS[args[0]][0]).main
    return run(args[1:])


if __name__ == "__main__":
    sys.exit(main())
