"""Tokens for Label Studio, against a local server that exchanges them as Label Studio 1.23.2 does."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientSession, web

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
    """Exchanges the PAT for access tokens named 1, 2, 3…; ``answer`` may be replaced."""

    def __init__(self) -> None:
        self.exchanges: list[web.BaseRequest] = []
        self.url = ""
        self.pause_s = 0.0
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = self.access_token

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


@pytest.fixture
async def label_studio() -> AsyncIterator[LabelStudio]:
    server = LabelStudio()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def failure(credentials: Credentials, session: ClientSession, **options: object) -> CredentialsError:
    with pytest.raises(CredentialsError) as caught:
        await credentials.header(session, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.isprintable()
    assert PAT not in text
    assert LEGACY not in text
    return caught.value


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
    async def test_is_sent_as_it_is(self, session: ClientSession) -> None:
        assert await Credentials("http://ls", LEGACY).header(session) == {"Authorization": f"Token {LEGACY}"}

    async def test_a_refusal_says_why_and_what_to_do(self, session: ClientSession) -> None:
        credentials = Credentials("http://ls/", LEGACY)
        header = await credentials.header(session)
        error = await failure(credentials, session, refused=header)
        assert error.reason == "unauthorized"
        for words in ["http://ls ", "legacy token", "Account & Settings > Personal Access Token"]:
            assert words in str(error)


class TestPersonalAccessToken:
    async def test_is_exchanged_for_an_access_token(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        header = await Credentials(label_studio.url, PAT).header(session)
        assert header["Authorization"].startswith("Bearer ")
        assert PAT not in header["Authorization"]
        assert label_studio.exchanges[0].path == "/api/token/refresh/"

    async def test_below_a_path_it_is_exchanged_there(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        await Credentials(f"{label_studio.url}/ls/", PAT).header(session)
        assert label_studio.exchanges[0].path == "/ls/api/token/refresh/"

    async def test_is_renewed_before_its_300_seconds_end(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        clock = Clock()
        credentials = Credentials(label_studio.url, PAT, clock=clock)
        first = await credentials.header(session)
        clock.now += 200
        assert await credentials.header(session) == first
        clock.now += 60  # 40 seconds before its end
        assert await credentials.header(session) != first
        assert len(label_studio.exchanges) == 2

    @pytest.mark.promise("token-survives-clock-jumps")
    async def test_jumps_of_the_wall_clock_do_not_matter(
        self, label_studio: LabelStudio, session: ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        credentials = Credentials(label_studio.url, PAT)
        first = await credentials.header(session)
        for moment in (0.0, 4e9, 1e9):
            monkeypatch.setattr("time.time", lambda moment=moment: moment)
            assert await credentials.header(session) == first
        assert len(label_studio.exchanges) == 1

    async def test_many_who_need_one_share_one_exchange(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        label_studio.pause_s = 0.05
        credentials = Credentials(label_studio.url, PAT)
        headers = await asyncio.gather(*(credentials.header(session) for _ in range(100)))
        assert len(label_studio.exchanges) == 1
        assert len({header["Authorization"] for header in headers}) == 1

    async def test_many_share_one_failure_too(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        label_studio.pause_s = 0.05

        label_studio.answers(web.json_response({"detail": "Token is invalid"}, status=401))
        credentials = Credentials(label_studio.url, PAT)
        await asyncio.gather(*(failure(credentials, session) for _ in range(100)))
        assert len(label_studio.exchanges) == 1

    async def test_one_who_leaves_does_not_take_it_from_the_others(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        label_studio.pause_s = 0.05
        credentials = Credentials(label_studio.url, PAT)
        leaving, staying = (asyncio.create_task(credentials.header(session)) for _ in range(2))
        await asyncio.sleep(0.02)
        leaving.cancel()
        assert (await staying)["Authorization"].startswith("Bearer ")
        assert leaving.cancelled()

    async def test_one_that_was_refused_is_renewed_once_for_all(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        credentials = Credentials(label_studio.url, PAT)
        old = await credentials.header(session)
        headers = await asyncio.gather(*(credentials.header(session, refused=old) for _ in range(20)))
        late = await credentials.header(session, refused=old)  # it has been renewed meanwhile
        assert len(label_studio.exchanges) == 2
        assert {header["Authorization"] for header in [*headers, late]} == {headers[0]["Authorization"]}
        assert headers[0] != old

    async def test_after_a_failure_the_next_one_tries_again(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        async def broken() -> web.StreamResponse:
            return web.Response(status=502)

        credentials = Credentials(label_studio.url, PAT)
        label_studio.answer = broken
        assert (await failure(credentials, session)).reason == "unreachable"
        label_studio.answer = label_studio.access_token
        assert (await credentials.header(session))["Authorization"].startswith("Bearer ")

    @pytest.mark.parametrize("status", [400, 401, 403])
    async def test_a_refusal_says_which_token_and_where_to_make_the_right_one(
        self, label_studio: LabelStudio, session: ClientSession, status: int
    ) -> None:
        label_studio.answers(web.json_response({"detail": "Token is expired\nX"}, status=status))
        error = await failure(Credentials(label_studio.url, PAT), session)
        assert error.reason == "unauthorized"
        for words in ["personal access token", "Token is expired", "Account & Settings", label_studio.url]:
            assert words in str(error)

    async def test_it_does_not_follow_a_redirect(
        self, label_studio: LabelStudio, session: ClientSession
    ) -> None:
        label_studio.answers(
            web.Response(status=307, headers={"Location": "https://elsewhere.example/api/token/refresh/"})
        )
        error = await failure(Credentials(label_studio.url, PAT), session)
        assert "https://elsewhere.example" in str(error)
        assert len(label_studio.exchanges) == 1

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'{"access": 7}', b'{"access": "a\\nb"}', b"[" * 30_000, bytes(10**7)]
    )
    async def test_a_server_that_is_not_label_studio_is_said(
        self, label_studio: LabelStudio, session: ClientSession, body: bytes
    ) -> None:
        label_studio.answers(web.Response(body=body))
        error = await failure(Credentials(label_studio.url, PAT), session)
        assert error.reason == "unreachable"
        assert "LABEL_STUDIO_URL" in str(error)

    async def test_a_label_studio_that_is_down_is_said(self, session: ClientSession) -> None:
        error = await failure(Credentials("http://127.0.0.1:1", PAT), session)
        assert error.reason == "unreachable"
        assert "LABEL_STUDIO_URL" in str(error)

    async def test_a_label_studio_that_hangs_is_given_up(
        self, label_studio: LabelStudio, session: ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("adapters.label_studio.client.credentials.REFRESH_SECONDS", 0.2)

        async def hang() -> web.StreamResponse:
            await asyncio.sleep(30)
            return web.Response()

        label_studio.answer = hang
        assert (await failure(Credentials(label_studio.url, PAT), session)).reason == "timeout"

    async def test_nothing_of_it_is_logged(
        self, label_studio: LabelStudio, session: ClientSession, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        header = await Credentials(label_studio.url, PAT).header(session)
        assert PAT not in caplog.text
        assert header["Authorization"] not in caplog.text
