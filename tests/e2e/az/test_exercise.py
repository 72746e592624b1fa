"""The exercise of the AZ-204 course as it is printed, from the first command to the last."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from stand import Stand, wait_until
from stock import Az

BASE = 'FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "echo", "Hello from the base"]\n'


def test_the_exercise_as_printed(new_az: Callable[[], Az], stand: Stand, tmp_path: Path) -> None:
    az = new_az()
    az.sign_in(stand.owner)

    group = az.json("group", "create", "--name", "az204-acr-rg", "--location", "eastus")
    assert (group["properties"]["provisioningState"], group["tags"]) == ("Succeeded", None)

    made = az.json("acr", "create", "--resource-group", "az204-acr-rg", "--name", "az204learner", "--sku", "Basic")
    assert made["loginServer"] == stand.login_server("az204learner")
    assert (made["sku"]["name"], made["provisioningState"], made["location"]) == ("Basic", "Succeeded", "eastus")
    az.wait_for_name("az204learner")
    seed_the_base(stand, tmp_path / "base")

    lesson = tmp_path / "lesson"
    lesson.mkdir()
    (lesson / "Dockerfile").write_text("FROM mcr.microsoft.com/hello-world\n")
    command = ("--image", "sample/hello-world:v1", "--registry", "az204learner", "--file", "Dockerfile", ".")
    built = az.ok("acr", "build", *command, cwd=lesson)
    assert "Packing source code into tar to upload..." in built.err
    assert "Queued a build with ID: " in built.err
    assert "was successful after" in built.out
    assert "image:" in built.out

    table = az.ok("acr", "repository", "list", "--name", "az204learner", "--output", "table").out.splitlines()
    assert table[:2] == ["Result", "------------------"]
    assert "sample/hello-world" in table[2:]

    tags = ("--name", "az204learner", "--repository", "sample/hello-world", "--output", "table")
    assert az.ok("acr", "repository", "show-tags", *tags).out.splitlines() == ["Result", "--------", "v1"]

    run = ("--registry", "az204learner", "--cmd", "$Registry/sample/hello-world:v1", "/dev/null")
    ran = az.ok("acr", "run", *run)
    assert "Hello from the base" in ran.out
    assert "was successful after" in ran.out

    assert az.answer_yes("group", "delete", "--name", "az204-acr-rg", "--no-wait") == 0
    wait_until(lambda: az.ok("group", "exists", "-n", "az204-acr-rg").out.strip() == "false", "the group is gone")


def seed_the_base(stand: Stand, folder: Path) -> None:
    """This machine reaches no public registry: the lesson's base image is put where builds look for it."""
    folder.mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", folder / "busybox")
    (folder / "Dockerfile").write_text(BASE)
    stand.ok("build", "-r", "az204learner", "-t", "hello-world:latest", str(folder))
