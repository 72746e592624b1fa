"""The browser's pages: authorization codes with PKCE, and the page for device codes (RFC 6749, 7636, 8252, 8628)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from darsena.identity.sign_ins import CODE_S, make_challenge
from darsena.testing import FakeClock

from .conftest import CONTROL, TENANT, Answer, Server

pytestmark = pytest.mark.parametrize("db", ["sqlite"], indirect=True)

ARM = f"https://{CONTROL}/"
AZ = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
NAME, PASSWORD = "alice", "correct horse battery"
VERIFIER = "v" * 43
ADFS = "/adfs/oauth2/authorize"
AAD = f"/{TENANT}/oauth2/v2.0/authorize"
EVIL = '"><script>alert(1)</script>'


class Page(HTMLParser):
    """The one form of a page, and what a screen reader needs."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.action = ""
        self.inputs: list[dict[str, str | None]] = []
        self.labels: set[str | None] = set()
        self.tags: list[str] = []
        self.ids: set[str | None] = set()
        self.language: str | None = None
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids.add(values.get("id"))
        if tag == "html":
            self.language = values.get("lang")
        if tag == "form":
            self.action = values["action"] or ""
        if tag == "label":
            self.labels.add(values.get("for"))
        if tag == "input":
            self.inputs.append(values)

    @property
    def hidden(self) -> dict[str, str]:
        return {row["name"] or "": row["value"] or "" for row in self.inputs if row.get("type") == "hidden"}

    def check(self) -> None:
        assert self.language == "en"
        assert "script" not in self.tags
        assert self.tags.count("h1") == self.tags.count("main") == 1
        for row in self.inputs:
            if row.get("type") != "hidden":
                assert row.get("id") in self.labels
                for name in (row.get("aria-describedby") or "").split():
                    assert name in self.ids


@dataclass
class Browser:
    """Keeps cookies and sends forms as a browser does."""

    server: Server
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, target: str) -> Answer:
        return await self._send("GET", target, b"")

    async def post(self, page: Page, **fields: str) -> Answer:
        return await self._send("POST", page.action, urlencode({**page.hidden, **fields}).encode())

    async def _send(self, method: str, target: str, body: bytes) -> Answer:
        sent = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        if self.cookies:
            sent.append((b"cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()))
        answer = await self.server.send(method, CONTROL, target, body, sent)
        if "set-cookie" in answer.headers:
            cookie = answer.headers["set-cookie"]
            for part in ("Path=/", "Secure", "HttpOnly", "SameSite=Strict"):
                assert part in cookie
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.headers.get("content-type", "").startswith("text/html"):
            check_headers(answer)
        return answer


def check_headers(answer: Answer) -> None:
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    Page(answer.content).check()


@pytest.fixture
async def browser(server: Server) -> Browser:
    await server.identity.directory.create_user(NAME, PASSWORD)
    return Browser(server)


def ask(path: str = ADFS, **changes: str | None) -> str:
    values = {
        "client_id": AZ,
        "redirect_uri": "http://localhost:8400",
        "response_type": "code",
        "scope": f"{ARM}/.default offline_access openid profile",
        "state": "s&t",
        "nonce": "n",
        "code_challenge": make_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{path}?{urlencode({name: value for name, value in values.items() if value is not None})}"


async def redeem(server: Server, code: str, **changes: str) -> Answer:
    fields = {
        "grant_type": "authorization_code",
        "client_id": AZ,
        "code": code,
        "redirect_uri": "http://localhost:8400",
        "code_verifier": VERIFIER,
        "scope": f"{ARM}/.default offline_access openid profile",
        **changes,
    }
    return await server.post(CONTROL, "/adfs/oauth2/token", fields)


async def get_code(browser: Browser, **changes: str | None) -> str:
    page = Page((await browser.get(ask(ADFS, **changes))).content)
    answer = await browser.post(page, username=NAME, password=PASSWORD)
    assert answer.status == 303, answer.content
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


@pytest.mark.parametrize("path", [ADFS, AAD, "/common/oauth2/v2.0/authorize"])
async def test_a_person_signs_in_with_a_browser(browser: Browser, path: str) -> None:
    page = Page((await browser.get(ask(path, login_hint="alice"))).content)
    assert next(row for row in page.inputs if row["name"] == "username")["value"] == "alice"
    answer = await browser.post(page, username=NAME.upper(), password=PASSWORD)
    assert answer.status == 303
    location = urlsplit(answer.headers["location"])
    assert (location.scheme, location.netloc) == ("http", "localhost:8400")
    values = parse_qs(location.query)
    assert values.keys() == {"code", "state"}
    assert values["state"] == ["s&t"]
    answer = await redeem(browser.server, values["code"][0])
    assert answer.status == 200
    assert answer.claims["upn"] == NAME
    assert answer.json["refresh_token"]


async def test_the_answer_may_be_a_form_or_a_fragment(browser: Browser) -> None:
    page = Page((await browser.get(ask(response_mode="form_post"))).content)
    answer = await browser.post(page, username=NAME, password=PASSWORD)
    assert "form-action 'self' http://localhost:8400;" in answer.headers["content-security-policy"]
    onward = Page(answer.content)
    assert (onward.action, onward.hidden["state"]) == ("http://localhost:8400", "s&t")
    assert (await redeem(browser.server, onward.hidden["code"])).status == 200
    page = Page((await browser.get(ask(response_mode="fragment"))).content)
    answer = await browser.post(page, username=NAME, password=PASSWORD)
    assert parse_qs(urlsplit(answer.headers["location"]).fragment)["state"] == ["s&t"]


async def test_a_wrong_password_says_so_and_keeps_the_name(browser: Browser) -> None:
    page = Page((await browser.get(ask())).content)
    answer = await browser.post(page, username=EVIL, password="wrong")
    assert answer.status == 400
    text = answer.content.decode()
    assert "<title>Error: Sign in</title>" in text
    assert 'role="alert"' in text
    again = Page(answer.content)
    assert next(row for row in again.inputs if row["name"] == "username")["value"] == EVIL
    assert (await browser.post(again, username=NAME, password=PASSWORD)).status == 303
    statuses = [(await browser.post(again, username=NAME, password="wrong")).status for _ in range(22)]
    assert statuses[-1] == 429


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost", "http://localhost:1/", "http://127.0.0.1:65535/x", "http://[::1]:9000",
    ],
)  # fmt: skip
async def test_the_public_client_is_answered_on_loopback(browser: Browser, uri: str) -> None:
    page = Page((await browser.get(ask(redirect_uri=uri))).content)
    answer = await browser.post(page, username=NAME, password=PASSWORD)
    assert answer.headers["location"].startswith(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "", "https://localhost:8400", "http://localhost.evil.example", "http://evil.example/localhost", "javascript:1",
        "http://localhost:8400@evil.example", "http://localhost:8400#x", "http://localhost:99999", "http://localhost:x",
        "http://localhost:8400/\r\nx: y", "http://localhost/\x7f", "//localhost", "http://10.0.0.1", "http://localhost:8400?a=b",
        "http://localhost\\@evil.example", "http://2130706433", f"http://localhost/{'a' * 5000}", "http://localhost/\0",
        "http://localhost;evil.example", "http://localhost,evil.example", "data:text/html,x",
    ],
)  # fmt: skip
async def test_nobody_is_sent_elsewhere(browser: Browser, uri: str) -> None:
    answer = await browser.get(ask(redirect_uri=uri))
    assert answer.status == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_client_that_is_not_known_is_not_answered(browser: Browser) -> None:
    for client in (EVIL, "", TENANT, browser.server.owner.client_id, browser.server.owner.principal.object_id):
        answer = await browser.get(ask(client_id=client))
        assert answer.status == 400
        assert EVIL not in answer.content.decode()
    doubled = await browser.get(ask() + "&redirect_uri=http://localhost:1")
    assert doubled.status == 400
    answer = await browser.get(ask("/00000000-0000-0000-0000-000000000001/oauth2/v2.0/authorize"))
    assert answer.status == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_mode": "web_message"}, "invalid_request"),
        ({"scope": "https://graph.microsoft.com/.default"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_other_errors_go_to_the_program(browser: Browser, changes: dict[str, str | None], error: str) -> None:
    answer = await browser.get(ask(ADFS, **changes))
    assert answer.status == 303
    values = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (values["error"], values["state"]) == ([error], ["s&t"])


async def test_a_code_is_good_once_for_its_client_address_and_verifier(browser: Browser, clock: FakeClock) -> None:
    server = browser.server
    rows: list[tuple[dict[str, str], int]] = [
        ({"client_id": "1950a258-227b-4e31-a9cf-717495945fc2"}, 70000),
        ({"redirect_uri": "http://localhost:8401"}, 500112),
        ({"code_verifier": "w" * 43}, 501481),
        ({"code_verifier": ""}, 501481),
    ]
    code = await get_code(browser)
    for changes, number in rows:
        answer = await redeem(server, code, **changes)
        assert (answer.json["error"], answer.json["error_codes"]) == ("invalid_grant", [number])
    good = await redeem(server, code)
    assert good.status == 200
    assert (await redeem(server, code)).json["error_codes"] == [54005]
    refresh = {"grant_type": "refresh_token", "client_id": AZ, "refresh_token": good.json["refresh_token"]}
    assert (await server.post(CONTROL, "/adfs/oauth2/token", refresh)).json["error_codes"] == [50173]
    late = await get_code(browser)
    clock.advance(CODE_S)
    assert (await redeem(server, late)).json["error_codes"] == [700082]
    ended = await get_code(browser)
    await server.identity.directory.set_password(NAME, "another long password")
    assert (await redeem(server, ended)).json["error_codes"] == [50173]


async def test_a_registered_program_is_answered_where_it_is_registered(browser: Browser) -> None:
    server = browser.server
    entry, secret = await server.identity.directory.create_service_principal(
        EVIL, redirect_uris=["https://app.example.com/back?x=1", "http://localhost/back"]
    )
    assert secret is not None
    client = entry.principal.client_id or ""
    for uri in ("https://app.example.com/back", "https://app.example.com/back?x=1&y", "http://localhost/other"):
        assert (await browser.get(ask(client_id=client, redirect_uri=uri))).status == 400
    for uri in ("https://app.example.com/back?x=1", "http://localhost:9999/back"):
        shown = await browser.get(
            ask(client_id=client, redirect_uri=uri, code_challenge=None, code_challenge_method=None)
        )
        assert EVIL not in shown.content.decode()
        answer = await browser.post(Page(shown.content), username=NAME, password=PASSWORD)
        assert answer.headers["location"].startswith(uri)
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": uri, "client_id": client}
        assert (await server.post(CONTROL, "/adfs/oauth2/token", fields)).json["error_codes"] == [7000218]
        answer = await server.post(CONTROL, "/adfs/oauth2/token", {**fields, "client_secret": secret.value})
        assert answer.status == 200
        assert (answer.claims["appid"], answer.claims["upn"]) == (client, NAME)


async def test_a_form_of_another_site_counts_for_nothing(browser: Browser) -> None:
    page = Page((await browser.get(ask())).content)
    cookies = browser.cookies
    rows: list[tuple[dict[str, str], dict[str, str], dict[str, str]]] = [
        ({}, {}, {}),
        (cookies, {"origin": "https://evil.example"}, {}),
        (cookies, {"origin": "null"}, {}),
        (cookies, {"sec-fetch-site": "cross-site"}, {}),
        (cookies, {}, {"form_token": "x"}),
        ({"__Host-darsena-form": "x"}, {}, {"form_token": "x"}),
    ]
    for sent, headers, fields in rows:
        other = Browser(browser.server, dict(sent), headers)
        answer = await other.post(page, username=NAME, password=PASSWORD, **fields)
        assert answer.status == 403, (headers, fields)
        assert "location" not in answer.headers
    browser.headers = {"origin": f"https://{CONTROL}", "sec-fetch-site": "same-origin"}
    assert (await browser.post(page, username=NAME, password=PASSWORD)).status == 303


# --- device codes ---------------------------------------------------------------------------------------------------


async def start(server: Server) -> dict[str, Any]:
    return (
        await server.post(CONTROL, "/adfs/oauth2/devicecode", {"client_id": AZ, "scope": f"{ARM}/.default openid"})
    ).json


async def enter(browser: Browser, code: str) -> Answer:
    page = Page((await browser.get("/device")).content)
    return await browser.post(page, user_code=code)


async def poll(server: Server, device_code: str) -> Answer:
    fields = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": AZ, "device_code": device_code}
    return await server.post(CONTROL, "/adfs/oauth2/token", fields)


async def test_a_device_is_approved_on_its_page(browser: Browser) -> None:
    started = await start(browser.server)
    assert re.fullmatch(r"[B-Z]{4}-[B-Z]{4}", started["user_code"])
    shown = await enter(browser, f" {started['user_code'].lower()} ")
    assert "Azure CLI" in unescape(shown.content.decode())
    wrong = await browser.post(Page(shown.content), username=NAME, password="wrong", decision="accept")
    assert wrong.status == 400
    assert (await poll(browser.server, started["device_code"])).json["error"] == "authorization_pending"
    done = await browser.post(Page(wrong.content), username=NAME, password=PASSWORD, decision="accept")
    assert done.status == 200
    assert "You are signed in" in done.content.decode()
    answer = await poll(browser.server, started["device_code"])
    assert answer.claims["upn"] == NAME
    again = await browser.post(Page(wrong.content), username=NAME, password=PASSWORD)
    assert again.status == 400


async def test_a_device_is_declined_without_a_password(browser: Browser) -> None:
    started = await start(browser.server)
    shown = await enter(browser, started["user_code"])
    answer = await browser.post(Page(shown.content), decision="decline", username="", password="")
    assert "Declined" in answer.content.decode()
    assert (await poll(browser.server, started["device_code"])).json["error"] == "authorization_declined"


async def test_user_codes_are_not_guessed(browser: Browser) -> None:
    for code in (EVIL, "", "ÄÄÄÄ-ÄÄÄÄ", "x" * 5000):
        answer = await enter(browser, code)
        assert (answer.status, EVIL in answer.content.decode()) == (400, False)
    statuses = [(await enter(browser, "BBBBBBBB")).status for _ in range(17)]
    assert statuses == [400] * 16 + [429]
    started = await start(browser.server)
    assert (await enter(browser, started["user_code"])).status == 429
