"""Write the reference pages that are made from the code. `--check`: change nothing, exit 1 when one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from docpages import render_all

ROOT = Path(__file__).parents[1]


def main() -> int:
    stale = 0
    for name, text in render_all().items():
        path = ROOT / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale += 1
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        sys.stdout.write(f"{'stale' if '--check' in sys.argv else 'wrote'} {name}\n")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
