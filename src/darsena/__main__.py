"""The console script: commands over HTTP from `cli`, local ones from `local`, and the agent's process."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run one command; returns its exit code."""
    if sys.argv[1:2] == ["agent"]:
        from darsena.agent.main import main as agent  # only its own imports: it is started beside every server

        return agent(sys.argv[2:])
    if sys.argv[1:2] == ["serve"]:
        from darsena.local.order import read_order  # nothing that reading every command line needs

        order = read_order(sys.argv[2:], os.environ)
        if order is not None:
            from darsena.local.serve import run as serve

            return serve(order)
    from darsena.cli.app import app, run
    from darsena.local import commands

    commands.register(app)
    return run()


if __name__ == "__main__":
    sys.exit(main())
