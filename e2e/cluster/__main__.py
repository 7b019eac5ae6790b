"""`python -m cluster`: see README.md beside this file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import faults, netns, supervise, tools
from .config import Config, from_environment
from .console import say
from .errors import ClusterError
from .providers import PROVIDERS, Provider, choose


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    root.add_argument("--provider", choices=("auto", *PROVIDERS), help="default: TIDEGATE_CLUSTER")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about)
        # Also after the command, where people put it; absent there, the one before it counts.
        command.add_argument("--provider", choices=("auto", *PROVIDERS), default=argparse.SUPPRESS)
        return command

    up = add("up", "start the cluster; at once where it runs")
    up.add_argument("--monitoring", action="store_true", help="Prometheus and its operator too")
    add("down", "end it and check that nothing is left")
    add("status", "what runs")
    add("kubeconfig", "path of the kubeconfig for the host")
    add("env", 'shell lines: eval "$(python -m cluster env)"')
    add("load", "build the tidegate image and make it known to the cluster")
    add("image", "print the image reference that `load` gives, by content hash")
    add("monitoring", "Prometheus Operator and a Prometheus in namespace monitoring")
    inside = add("exec", "run a command inside the cluster's network: exec -- CMD …")
    inside.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD")
    fault = add("fault", "COMPONENT-stop|start|restart, or: signal COMPONENT SIGNAL")
    fault.add_argument("words", nargs="+", metavar="FAULT")
    tool = add("tools", "build or find a tool and print its path")
    tool.add_argument("name", choices=(*tools.GO_TOOLS, *tools.CLIENTS))
    return root


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    config = from_environment(provider=options.provider)
    try:
        return run(config, options)
    except ClusterError as error:
        say(error.text())
        return 1
    except KeyboardInterrupt:
        say("stopped by you; what was finished is kept, `up` goes on from there")
        return 130


def run(config: Config, options: argparse.Namespace) -> int:
    if options.command == "tools":
        for path in tools.ensure(config, options.name).values():
            print(path)
        return 0
    provider = choose(config)
    simple = {"down": provider.down, "monitoring": provider.monitoring}
    if options.command == "up":
        provider.up()
        if options.monitoring:
            provider.monitoring()
        say(f"        export KUBECONFIG={provider.kubeconfig()}")
    elif options.command in simple:
        simple[options.command]()
    elif options.command == "status":
        lines = provider.status()
        print("\n".join(lines))
        return 0 if provider.healthy() else 3
    elif options.command == "kubeconfig":
        print(provider.kubeconfig())
    elif options.command == "env":
        print(f"export KUBECONFIG={provider.kubeconfig()}")
        print(f'export PATH="{config.bin}:$PATH"')
    elif options.command == "load":
        print(provider.load())
    elif options.command == "image":
        print(provider.image())
    elif options.command == "exec":
        return inside(config, provider, options.words)
    elif options.command == "fault":
        return inject(config, provider, options.words)
    return 0


def inside(config: Config, provider: Provider, words: list[str]) -> int:
    """Replaces this process by CMD; inside the private network where the provider has one."""
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise ClusterError("exec needs a command", expected="exec -- CMD …")
    kubeconfig = provider.kubeconfig()
    if provider.name == "native":
        # Entering a mount namespace moves to its root: go back to where the user is.
        back = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(Path.cwd())]
        command = netns.enter(netns.holder(config).pid, [*back, *command])
        kubeconfig = config.inner_kubeconfig
    path = f"{config.bin}:{os.environ.get('PATH', '')}"
    own = {supervise.MARK: supervise.mark(config.run)}  # so that `down` ends it, too
    environ = {**os.environ, **own, "KUBECONFIG": str(kubeconfig), "PATH": path}
    os.execvpe(command[0], command, environ)


def inject(config: Config, provider: Provider, words: list[str]) -> int:
    if provider.name != "native":
        raise ClusterError(
            "faults stop processes of the native cluster",
            expected="--provider native",
            found=provider.name,
        )
    if words[0] == "signal" and len(words) == 3:
        name = words[2].upper()
        number = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
        if number is None:
            raise ClusterError(f"{words[2]}: no such signal", expected="KILL, TERM, STOP, CONT, …")
        faults.send(config, words[1], number)
    elif len(words) == 1:
        faults.by_name(config, words[0])
    else:
        raise ClusterError(
            f"fault {' '.join(words)}", expected="COMPONENT-ACTION or: signal COMPONENT SIGNAL"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
