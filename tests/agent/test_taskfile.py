"""Task files: from text to plan, and every fault of the catalogue that this version can meet."""

from __future__ import annotations

import pytest

from darsena.agent.plan import BuildAction, CmdAction, Plan, PlanFault, PushAction
from darsena.agent.taskfile import plan_task
from darsena.agent.variables import Variables

RUN = {
    "ID": "ca1",
    "Registry": "reg.azurecr.localhost:8443",
    "RegistryName": "reg",
    "Date": "20260101-000000z",
    "OS": "linux",
}


def plan(text: str, **values: object) -> Plan:
    files = {"aliases.yml": "tool: local/tool:1\nbad: [1]\n", "good.yml": "tool: local/tool:1\n"}

    def read(path: str) -> str:
        if path not in files:
            raise PlanFault(f"no {path}")
        return files[path]

    return plan_task(text, Variables(run=RUN, values=values), read)


V = "version: v1.1.0\n"


def test_steps_defaults_and_order() -> None:
    made = plan(
        f"""{V}stepTimeout: 50
env: [A=1,B=2, C=3]
workingDirectory: src
steps:
  - build: -t $Registry/x:$ID .
  - id: two
    cmd: bash echo $$ID
    env: [B=9, "D='x y'"]
    timeout: 7
    retries: 2
    when: ["-"]
  - push: [$Registry/x:$ID, other, other:latest]
    when: [acb_step_0, two]
"""
    )
    one, two, three = made.steps
    assert isinstance(one.action, BuildAction)
    assert one.action.tags == ("reg.azurecr.localhost:8443/x:ca1",)
    assert (one.id, one.timeout_s, one.working_directory, one.network) == (
        "acb_step_0",
        50,
        "src",
        "acb_default_network",
    )
    assert isinstance(two.action, CmdAction)
    assert two.action.image == "mcr.microsoft.com/acr/bash:latest"
    assert two.environment == {"A": "1", "B": "9", "C": "3", "D": "x y"}
    assert (two.timeout_s, two.retries, two.retry_delay_s) == (7, 2, 5)
    assert isinstance(three.action, PushAction)
    assert three.action.images == ("reg.azurecr.localhost:8443/x:ca1", "other:latest")
    assert made.networks[0].name == "acb_default_network"


def test_aliases() -> None:
    made = plan(
        f"{V}alias:\n  src: good.yml\n  values: {{repo: mine}}\nsteps:\n  - cmd: $tool $repo/x $unknown $$repo\n"
    )
    assert made.steps[0].action == CmdAction(image="local/tool:1", arguments=("mine/x",))
    made = plan(f"{V}alias:\n  directive: '%'\nsteps:\n  - cmd: '%Registry/x echo 100%'\n")
    assert made.steps[0].action == CmdAction(image="reg.azurecr.localhost:8443/x", arguments=("echo", "100%"))


def test_without_a_version_aliases_stay() -> None:
    made = plan("steps:\n  - cmd: img $Registry\n")
    assert made.steps[0].action == CmdAction(image="img", arguments=())
    assert made.warnings
    assert not made.aliases_on


def test_values_and_text_types() -> None:
    made = plan(f"{V}steps:\n  - id: 1\n    cmd: img {{{{.Values.a}}}} {{{{ .Values.none }}}}x\n    keep: yes\n", a="v")
    assert made.steps[0].id == "1"
    assert made.steps[0].keep
    assert made.steps[0].action == CmdAction(image="img", arguments=("v", "x"))


def test_comment_lines_go_even_in_block_text() -> None:
    made = plan(f"{V}steps:\n  - cmd: |\n      img a\n      # gone\n      b\n")
    assert made.steps[0].action == CmdAction(image="img", arguments=("a", "b"))


def steps(text: str) -> str:
    return f"{V}steps:\n{text}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1.1.0\nsteps:\n  - cmd: x\n", 'invalid version specified: "1.1.0", the current version is "v1.0.0"'),
        (steps("  - id: a"), "step is missing a cmd, build, or push property"),
        (steps("  - cmd: a\n    build: ."), "step must only contain a single build, cmd, or push property"),
        (steps("  - cmd: x\n    id: a b"), "step ID cannot contain spaces"),
        (steps("  - cmd: x\n    id: a\n  - cmd: x\n    id: a"), "a already exists as a vertex"),
        (steps("  - cmd: x\n    id: acb_root"), "acb_root is a reserved ID"),
        (steps("  - cmd: x\n  - cmd: x\n    when: ['-', acb_step_0]"), "immediate execution token"),
        (steps("  - cmd: x\n    id: a\n    when: [a]"), "Step ID: a is self-referenced"),
        (steps("  - cmd: x\n    id: a\n    when: [b]"), "b does not exist as a vertex [from: b, to: a]"),
        (steps("  - cmd: x\n    retries: -1"), "step must specify retries >= 0"),
        (steps("  - cmd: x\n    repeat: -1"), "step must specify repeat >= 0"),
        (steps("  - build: .\n    cache: maybe"), "invalid value for cache property"),
        (steps("  - cmd: x\n    env: [nothing]"), "cannot parse step environment variable nothing correctly"),
        (f"{V}env: [nothing]\nsteps:\n  - cmd: x\n", "cannot parse task environment variable nothing correctly"),
        (
            f"{V}alias:\n  values: {{a-b: c}}\nsteps:\n  - cmd: x\n",
            "alias key names only support alphanumeric characters",
        ),
        (
            f"{V}alias:\n  directive: '%%'\nsteps:\n  - cmd: x\n",
            "$ directive can only be overwritten by a single character",
        ),
        (
            f"{V}alias:\n  directive: a\nsteps:\n  - cmd: x\n",
            "overwritten directives may not be alphanumeric characters",
        ),
        (f"{V}alias:\n  src: https://h/x\nsteps:\n  - cmd: x\n", "remote"),
        (steps("  - cmd: x {{ .Run.ID | upper }}"), "not supported in this version"),
        (steps("  - cmd: x {{if .Run.ID}}y{{end}}"), "line 3, column 12: 'if'"),
        (steps("  - cmd: x {{ .Run.ID"), "failed to parse template"),
        (steps("  - cmd: x\n    timeout: abc"), "timeout must be a whole number"),
        (steps("  - cmd: x\n    timeout: '5'"), "timeout must be a whole number"),
        (steps("  - cmd: [x]"), "cmd must be text"),
        (f"{V}steps: [\n", "failed to deserialize task and validate: line"),
        (f"{V}steps: []\n", "no steps defined"),
        (f"{V}", "no steps defined"),
        (steps("  - cmd: x | y"), "shell operators run inside the container only"),
        (steps("  - cmd: -e A=b img"), "options before the image are not supported"),
        (steps("  - cmd: docker build ."), "tasks.engine_socket"),
        (steps("  - cmd: x\n    privileged: true"), "privileged containers are refused"),
        (steps("  - cmd: x\n    ports: ['80:80']"), "publishing ports is refused"),
        (steps("  - cmd: x\n    network: host"), "the network host is refused"),
        (steps("  - cmd: x\n    network: other"), "failed to create network: other"),
        (f"{V}secrets: [{{id: a}}]\nsteps:\n  - cmd: x\n", "not supported in this version"),
        (steps("  - cmd: x\n    volumeMounts: [{name: a, mountPath: /x}]"), "not supported in this version"),
    ],
)
def test_faults(text: str, message: str) -> None:
    with pytest.raises(PlanFault) as caught:
        plan(text)
    assert message in str(caught.value)


def test_bombs_are_refused() -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(20))
    with pytest.raises(PlanFault):
        plan(f"{V}{levels}steps:\n  - cmd: x\n")
    with pytest.raises(PlanFault):
        plan(f"{V}steps: {'[' * 500}\n")
