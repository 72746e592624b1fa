"""Digests, names, ids, times: what is accepted, what is refused and why."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darsena.core.clock import parse_time, render_http_date, render_log_time, render_time, render_time_offset
from darsena.core.digest import Digest
from darsena.core.errors import DigestInvalid, DigestMismatch, NameInvalid
from darsena.core.ids import base36, new_guid, new_secret, new_uid
from darsena.core.names import GroupName, RegistryName, RepositoryName, TagName

HEX = "a" * 64


def test_digest_of_content() -> None:
    assert str(Digest.of(b"x")) == f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    assert str(Digest.of(b"x", "sha512")) == f"sha512:{hashlib.sha512(b'x').hexdigest()}"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest_in_a_column_and_back(algorithm: str) -> None:
    digest = Digest.of(b"x", algorithm)  # type: ignore[arg-type]
    assert Digest.from_stored(digest.stored) == digest
    assert len(digest.stored) == 1 + len(digest.hex) // 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}a",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"md5:{HEX[:32]}",
        f"sha512:{HEX}",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
        "sha256:" + "g" * 64,
        "sha256:../" + HEX[3:],
        "x" * 5000,
    ],
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


def test_mismatch_names_both() -> None:
    with pytest.raises(DigestMismatch, match=str(Digest.of(b"y"))):
        Digest.of(b"x").check(Digest.of(b"y"))


@given(st.text(max_size=80))
def test_no_text_makes_a_digest_explode(text: str) -> None:
    with contextlib.suppress(DigestInvalid):
        assert str(Digest.parse(text)) == text


@pytest.mark.parametrize("text", ["a", "a/b", "a.b_c-d", "a__b", "a---b", "0", "library/hello-world", "a" * 255])
def test_repository_names(text: str) -> None:
    assert RepositoryName.parse(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "A", "a/", "/a", "a//b", "a..b", ".a", "a_", "a___b", "-a", "a b", "a\n", "a/../b", "ä", "a:b", "a" * 256],
)
def test_what_is_no_repository_name(text: str) -> None:
    with pytest.raises(NameInvalid):
        RepositoryName.parse(text)


@pytest.mark.parametrize("text", ["", ".a", "-a", "a/b", "a b", "a" * 129, "a\n", "é"])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(NameInvalid):
        TagName.parse(text)


@pytest.mark.parametrize("text", ["abcd", "a-bcde", "a" * 51, "äbcde", "abcde\n", "", "abc_de"])
def test_what_is_no_registry_name(text: str) -> None:
    with pytest.raises(NameInvalid):
        RegistryName.parse(text)


def test_names_that_compare_without_case() -> None:
    assert RegistryName.parse("MyRegistry").key == "myregistry"
    assert GroupName.parse("My.Group(1)").key == "my.group(1)"
    with pytest.raises(NameInvalid):
        GroupName.parse("ends.")


def test_ids() -> None:
    assert len(new_uid()) == 32
    assert len(new_guid()) == 36
    assert new_secret() != new_secret()
    assert new_secret().isalnum()
    with pytest.raises(ValueError, match="160"):
        new_secret(128)
    assert [base36(number) for number in (0, 35, 36, 1295)] == ["0", "z", "10", "zz"]


def test_times_as_clients_parse_them() -> None:
    at = 1_618_420_445_123_456
    assert render_time(at) == "2021-04-14T17:14:05.1234560Z"
    assert render_time_offset(at) == "2021-04-14T17:14:05.1234560+00:00"
    assert render_log_time(at) == "2021/04/14 17:14:05"
    assert render_http_date(at) == "Wed, 14 Apr 2021 17:14:05 GMT"
    assert parse_time("2021-04-14T17:14:05.123456Z") == at


def test_times_at_the_ends_of_the_calendar() -> None:
    last = "9999-12-31T23:59:59.999999"
    assert render_time(parse_time(f"{last}Z")) == render_time(parse_time(last)) == f"{last}0Z"
    assert render_time(parse_time("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00.0000000Z"
    for text in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "never", ""):
        with pytest.raises(ValueError):
            parse_time(text)
