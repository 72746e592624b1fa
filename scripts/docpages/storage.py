"""Where everything lies, and the form of a stored object: the drawings at the head of the two modules."""

from __future__ import annotations

import inspect

from darsena.local.folder import FORMAT_VERSION
from darsena.storage import frames, layout

HEAD = f"""\
# The data folder

One folder holds everything of a server: `--data`, or `$DARSENA_DATA`, or `~/.local/share/darsena`. This version writes
format {FORMAT_VERSION}. What is encrypted and what is not stands in [security](../explanation/security.md); how to
keep a copy in [backup](../how-to/back-up.md).

The build agent's work and caches lie outside, in `build.state` (default: `/var/lib/darsena-agent/<stamp>` for root,
`~/.local/state/darsena-agent/<stamp>` otherwise), and are not encrypted. A run's are removed when it ends.

"""


def render() -> str:
    return f"{HEAD}{drawn(layout.__doc__)}\n## The form of an object\n\n{drawn(frames.__doc__)}"


def drawn(docstring: str | None) -> str:
    """A docstring whose indented parts are drawings."""
    text = inspect.cleandoc(docstring or "")
    parts: list[str] = []
    for block in text.split("\n\n"):
        if all(line.startswith("    ") for line in block.splitlines()):
            drawing = "\n".join(line[4:] for line in block.splitlines())
            parts.append(f"```text\n{drawing}\n```")
        else:
            parts.append(block)
    return "\n\n".join(parts) + "\n"
