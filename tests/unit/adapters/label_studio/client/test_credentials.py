"""Tokens for Label Studio, against a local server that exchanges them as Label Studio 1.23.2 does."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer

from adapters.label_studio.client.credentials import Credentials, CredentialsError

LEGACY = "0123456789abcdef0123456789abcdef01234567"


def jwt(**claims: object) -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.signature"


PAT = jwt(token_type="refresh", exp=8_000_000_000, iat=1_700_000_000, jti="1", user_id="1")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class LabelStudio:
    """Exchanges the PAT for access tokens named 1, 2, 3…; ``answer`` may be replaced.

    `header` and `failure` ask with its credentials, which may be replaced as well.
    """

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.exchanges: list[web.BaseRequest] = []
        self.url = ""
        self.pause_s = 0.0
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = self.access_token
        self.credentials = Credentials("http://ls", PAT)

    async def access_token(self) -> web.StreamResponse:
        # Its clock is years behind: only the difference of the two times may count.
        token = jwt(token_type="access", iat=1_000, exp=1_300, jti=str(len(self.exchanges)))
        return web.json_response({"access": token})

    def answers(self, response: web.StreamResponse) -> None:
        async def answer() -> web.StreamResponse:
            return response

        self.answer = answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        assert await request.json() == {"refresh": PAT}
        self.exchanges.append(request)
        await asyncio.sleep(self.pause_s)
        return await self.answer()

    async def header(self, **options: Any) -> dict[str, str]:
        return await self.credentials.header(self.session, **options)

    async def failure(self, **options: Any) -> CredentialsError:
        with pytest.raises(CredentialsError) as caught:
            await self.header(**options)
        text = str(caught.value)
        assert text.isprintable()
        assert PAT not in text
        assert LEGACY not in text
        return caught.value


@pytest.fixture
async def label_studio() -> AsyncIterator[LabelStudio]:
    async with ClientSession() as session:
        server = LabelStudio(session)
        async with RawTestServer(server.handle) as listening:
            server.url = str(listening.make_url("")).rstrip("/")
            server.credentials = Credentials(server.url, PAT)
            yield server


class TestKind:
    def test_a_jwt_that_refreshes_is_a_personal_access_token(self) -> None:
        assert Credentials("http://ls", PAT).kind == "personal access token"
        assert Credentials("http://ls", f" {PAT}\n").kind == "personal access token"

    @pytest.mark.parametrize("token", [LEGACY, "a.b.c", "not-hex", "a.!!!.c"])
    def test_anything_else_is_a_legacy_token(self, token: str) -> None:
        assert Credentials("http://ls", token).kind == "legacy token"

    def test_an_access_token_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match="five minutes"):
            Credentials("http://ls", jwt(token_type="access", exp=1))

    @pytest.mark.parametrize(
        "token", ["", "  ", f"Token {LEGACY}", "a\nb", "a\r\nX-Injected: 1", "tokän", "a\0"]
    )
    def test_what_no_token_looks_like_is_refused_at_once(self, token: str) -> None:
        with pytest.raises(ValueError, match="LABEL_STUDIO_API_TOKEN"):
            Credentials("http://ls", token)

    @pytest.mark.parametrize("token", [LEGACY, PAT])
    def test_the_token_does_not_show(self, token: str) -> None:
        assert token not in repr(Credentials("http://ls", token))


class TestLegacyToken:
    async def test_is_sent_as_it_is(self, label_studio: LabelStudio) -> None:
        label_studio.credentials = Credentials("http://ls", LEGACY)
        assert await label_studio.header() == {"Authorization": f"Token {LEGACY}"}

    async def test_a_refusal_says_why_and_what_to_do(self, label_studio: LabelStudio) -> None:
        label_studio.credentials = Credentials("http://ls/", LEGACY)
        error = await label_studio.failure(refused=await label_studio.header())
        assert error.reason == "unauthorized"
        for words in ["http://ls ", "legacy token", "Account & Settings > Personal Access Token"]:
            assert words in str(error)


class TestPersonalAccessToken:
    async def test_is_exchanged_for_an_access_token(self, label_studio: LabelStudio) -> None:
        header = await label_studio.header()
        assert header["Authorization"].startswith("Bearer ")
        assert PAT not in header["Authorization"]
        assert label_studio.exchanges[0].path == "/api/token/refresh/"

    async def test_below_a_path_it_is_exchanged_there(self, label_studio: LabelStudio) -> None:
        label_studio.credentials = Credentials(f"{label_studio.url}/ls/", PAT)
        await label_studio.header()
        assert label_studio.exchanges[0].path == "/ls/api/token/refresh/"

    async def test_is_renewed_before_its_300_seconds_end(self, label_studio: LabelStudio) -> None:
        clock = Clock()
        label_studio.credentials = Credentials(label_studio.url, PAT, clock=clock)
        first = await label_studio.header()
        clock.now += 200
        assert await label_studio.header() == first
        clock.now += 60  # 40 seconds before its end
        assert await label_studio.header() != first
        assert len(label_studio.exchanges) == 2

    @pytest.mark.promise("token-survives-clock-jumps")
    async def test_jumps_of_the_wall_clock_do_not_matter(
        self, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await label_studio.header()
        for moment in (0.0, 4e9, 1e9):
            monkeypatch.setattr("time.time", lambda moment=moment: moment)
            assert await label_studio.header() == first
        assert len(label_studio.exchanges) == 1

    async def test_many_who_need_one_share_one_exchange(self, label_studio: LabelStudio) -> None:
        label_studio.pause_s = 0.05
        headers = await asyncio.gather(*(label_studio.header() for _ in range(100)))
        assert len(label_studio.exchanges) == 1
        assert len({header["Authorization"] for header in headers}) == 1

    async def test_many_share_one_failure_too(self, label_studio: LabelStudio) -> None:
        label_studio.pause_s = 0.05
        label_studio.answers(web.json_response({"detail": "Token is invalid"}, status=401))
        await asyncio.gather(*(label_studio.failure() for _ in range(100)))
        assert len(label_studio.exchanges) == 1

    async def test_one_who_leaves_does_not_take_it_from_the_others(self, label_studio: LabelStudio) -> None:
        label_studio.pause_s = 0.05
        leaving, staying = (asyncio.create_task(label_studio.header()) for _ in range(2))
        await asyncio.sleep(0.02)
        leaving.cancel()
        assert (await staying)["Authorization"].startswith("Bearer ")
        assert leaving.cancelled()

    async def test_one_that_was_refused_is_renewed_once_for_all(self, label_studio: LabelStudio) -> None:
        old = await label_studio.header()
        headers = await asyncio.gather(*(label_studio.header(refused=old) for _ in range(20)))
        late = await label_studio.header(refused=old)  # it has been renewed meanwhile
        assert len(label_studio.exchanges) == 2
        assert {header["Authorization"] for header in [*headers, late]} == {headers[0]["Authorization"]}
        assert headers[0] != old

    async def test_after_a_failure_the_next_one_tries_again(self, label_studio: LabelStudio) -> None:
        label_studio.answers(web.Response(status=502))
        assert (await label_studio.failure()).reason == "unreachable"
        label_studio.answer = label_studio.access_token
        assert (await label_studio.header())["Authorization"].startswith("Bearer ")

    @pytest.mark.parametrize("status", [400, 401, 403])
    async def test_a_refusal_says_which_token_and_where_to_make_the_right_one(
        self, label_studio: LabelStudio, status: int
    ) -> None:
        label_studio.answers(web.json_response({"detail": "Token is expired\nX"}, status=status))
        error = await label_studio.failure()
        assert error.reason == "unauthorized"
        for words in ["personal access token", "Token is expired", "Account & Settings", label_studio.url]:
            assert words in str(error)

    async def test_it_does_not_follow_a_redirect(self, label_studio: LabelStudio) -> None:
        label_studio.answers(
            web.Response(status=307, headers={"Location": "https://elsewhere.example/api/token/refresh/"})
        )
        assert "https://elsewhere.example" in str(await label_studio.failure())
        assert len(label_studio.exchanges) == 1

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'{"access": 7}', b'{"access": "a\\nb"}', b"[" * 30_000, bytes(10**7)]
    )
    async def test_a_server_that_is_not_label_studio_is_said(
        self, label_studio: LabelStudio, body: bytes
    ) -> None:
        label_studio.answers(web.Response(body=body))
        error = await label_studio.failure()
        assert error.reason == "unreachable"
        assert "LABEL_STUDIO_URL" in str(error)

    async def test_a_label_studio_that_is_down_is_said(self, label_studio: LabelStudio) -> None:
        label_studio.credentials = Credentials("http://127.0.0.1:1", PAT)
        error = await label_studio.failure()
        assert error.reason == "unreachable"
        assert "LABEL_STUDIO_URL" in str(error)

    async def test_a_label_studio_that_hangs_is_given_up(
        self, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("adapters.label_studio.client.credentials.REFRESH_SECONDS", 0.2)
        label_studio.pause_s = 30
        assert (await label_studio.failure()).reason == "timeout"

    async def test_nothing_of_it_is_logged(
        self, label_studio: LabelStudio, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        header = await label_studio.header()
        assert PAT not in caplog.text
        assert header["Authorization"] not in caplog.text
