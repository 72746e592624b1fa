"""Each room may use these third-party packages and no others: a new dependency is a decision, made here."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "darsena"

ALLOWED: dict[str, set[str]] = {
    "core": {"msgspec"},
    "settings": {"msgspec"},
    "db": {"sqlalchemy", "alembic"},
    "journal": {"msgspec", "sqlalchemy"},
    "jobs": {"msgspec", "sqlalchemy", "structlog"},
    "storage": {"cryptography", "msgspec", "sqlalchemy"},
    "identity": {"argon2", "cryptography", "joserfc", "msgspec", "sqlalchemy"},
    "registry": {"msgspec", "sqlalchemy", "structlog"},
    "resources": {"msgspec", "sqlalchemy"},
    "tasks": {"msgspec", "sqlalchemy", "structlog"},
    "usage": {"msgspec", "sqlalchemy", "structlog"},
    "engine": {"msgspec", "structlog"},
    "agent": {"httpx", "msgspec", "structlog", "yaml"},
    "api": {"msgspec", "structlog"},
    "client": {"httpx", "msgspec"},
    "cli": {"jmespath", "msgspec", "rich", "typer", "yaml"},
    "local": {"cryptography", "granian", "msgspec", "structlog", "typer"},
    "testing": {"cryptography", "httpx", "msgspec", "psycopg", "pytest", "sqlalchemy"},
    "app": {"msgspec", "structlog", "sqlalchemy"},
    "__main__": set(),
    "worker": set(),
}


def third_party(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"darsena", "__future__"}


def rooms() -> list[str]:
    return sorted(
        {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in SOURCE.rglob("*.py")} - {"__init__"}
    )


@pytest.mark.parametrize("room", rooms())
def test_room_uses_only_its_packages(room: str) -> None:
    folder = SOURCE / room
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [SOURCE / f"{room}.py"]
    used = {f"{file.relative_to(SOURCE)}: {name}" for file in files for name in third_party(file) - ALLOWED[room]}
    assert used == set()
