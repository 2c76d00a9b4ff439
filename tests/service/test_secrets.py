"""A server that knows secrets, and is made to fail in every way: they are in nothing that it says or writes."""

import base64
import http.client
import json
import socket
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest

from tests.service.conftest import StartServer
from tests.service.server import Server
from tests.support.http_server import Handler, serving

SIGNATURE = "s1gnature0of0a0presigned0address"
SECRETS = {
    "password": "pAss:word-of-the-0perator",
    "access token": "acce55-token-of-setup",
    "extra parameters": "extra-paramet3r",
    "task password": "passw0rd-of-params",
    "redis password": "r3dis-password",
    "picture password": "p1cture-password",
    "signature": SIGNATURE,
    "data": "bm90LWEtcGljdHVyZS1idXQtYS1zZWNyZXQ",
    "guess": "gu3ssed-password",
    "cookie": "c00kie-of-a-browser",
    "bearer": "b3arer-of-somebody",
}


FINE = base64.b64decode(  # a picture: only those that are looked at are looked for in Redis
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAIAAADwyuo0AAAAEElEQVR4nGP8z4AATEhsBgAZNQEDGy9LEgAAAABJRU5ErkJggg=="
)


def jwt(claims: dict[str, str]) -> str:
    parts = (json.dumps({"alg": "HS256"}), json.dumps(claims))
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"])


REFRESH_TOKEN = jwt({"token_type": "refresh", "jti": "label-studio"})
ACCESS_TOKEN = jwt({"token_type": "access", "jti": "short-lived"})


@dataclass
class Elsewhere:
    """Stands for Label Studio and for every other server with pictures, none of which works.

    Attributes:
        url: Its address.
        seen: Secrets that reached it, where they belong: this shows that they were in use.
        refresh: What it answers to the exchange of the token.
    """

    url: str
    seen: list[str] = field(default_factory=list)
    refresh: tuple[int, dict[str, str]] = (200, {"access": ACCESS_TOKEN})


class _Handler(Handler):
    elsewhere: ClassVar[Elsewhere]

    def do_POST(self) -> None:
        self.elsewhere.seen.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, content = self.elsewhere.refresh
        self.answer(status, json.dumps(content).encode())

    def do_GET(self) -> None:
        self.elsewhere.seen.append(self.path)
        self.elsewhere.seen.append(self.headers.get("Authorization", ""))
        first = urllib.parse.urlsplit(self.path).path.split("/")[1]
        if first == "redirect":
            self.answer(302, b"", Location=f"/403/moved.jpg?X-Amz-Signature={SIGNATURE}")
        elif first == "inside":
            self.answer(302, b"", Location=f"http://127.0.0.2/a.jpg?X-Amz-Signature={SIGNATURE}")
        elif first == "strange":
            self.answer(302, b"", Location=f"http://ann:{SECRETS['picture password']}@127.0.0.1/a.jpg")
        elif first == "fine":
            self.answer(200, FINE)
        elif first == "broken":
            self.answer(200, b"\x89PNG\r\n\x1a\n" + SIGNATURE.encode())
        elif first in ("data", "storage-data", "tasks"):
            self.answer(401, SIGNATURE.encode())
        elif first.isdecimal():
            self.answer(int(first), SIGNATURE.encode())
        else:
            self.answer(404, SIGNATURE.encode())


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving(_Handler) as url:
        _Handler.elsewhere = Elsewhere(url)
        yield _Handler.elsewhere


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else can get."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def secretive(start_server: StartServer, elsewhere: Elsewhere, closed_port: int) -> Server:
    return start_server(
        DEBUG="true",
        BASIC_AUTH_USER="ann",
        BASIC_AUTH_PASS=SECRETS["password"],
        LABEL_STUDIO_URL=elsewhere.url,
        LABEL_STUDIO_API_TOKEN=REFRESH_TOKEN,
        REDIS_URL=f"redis://backend:{SECRETS['redis password']}@127.0.0.1:{closed_port}/0",
        ALLOWED_IMAGE_HOSTS="127.0.0.1",
    )


AUTHORIZATION = {
    "Authorization": "Basic " + base64.b64encode(f"ann:{SECRETS['password']}".encode()).decode(),
}


def addresses(elsewhere: Elsewhere, closed_port: int) -> list[Any]:
    signed = f"?X-Amz-Credential=key&X-Amz-Signature={SIGNATURE}"
    password = SECRETS["picture password"]
    paths = (
        "200",
        "204",
        "400",
        "401",
        "403",
        "404",
        "410",
        "500",
        "redirect",
        "inside",
        "strange",
        "broken",
        "fine",
    )
    host = elsewhere.url.removeprefix("http://")
    return [
        *(f"{elsewhere.url}/{path}/a.jpg{signed}" for path in paths),
        f"/data/upload/1/a.jpg{signed}",
        f"/data/local-files/?d={SIGNATURE}",
        f"/storage-data/uploaded/?filepath={SIGNATURE}",
        f"s3://bucket/a.jpg{signed}",
        f"http://127.0.0.1:{closed_port}/a.jpg{signed}",
        f"http://no-such-host.invalid/a.jpg{signed}",
        f"http://10.0.0.1/a.jpg{signed}",
        f"ftp://10.0.0.1/a.jpg{signed}",
        f"//{host}/a.jpg{signed}",
        f"http:/{host}/a.jpg{signed}",
        f"http://{host}/a\n.jpg{signed}",
        f"http://{host}/a.jpg#{SIGNATURE}",
        f"http://ann:{password}@{host}/a.jpg{signed}",
        f"http://ann:{password}/x@{host}/a.jpg",
        f"http://ann:x/{password}@{host}/a.jpg",
        f"http:\\\\ann:{password}@{host}/a.jpg",
        f"ann:{password}@{host}/a.jpg",
        f"//ann:{password}@{host}/a.jpg",
        f"s3://ann:{password}@bucket/a.jpg",
        f"data:image/png;base64,{SECRETS['data']}",
        f"data:image/png,{SECRETS['data']}",
        f"data:{SECRETS['data']}",
        {"image": f"http://x{signed}"},
        [f"http://x{signed}"],
    ]


def drawn(element: str) -> dict[str, Any]:
    return {"result": [{"origin": "manual", "type": element, "to_name": "image", "value": {"x": "y"}}]}


def bodies(pictures: list[Any]) -> Iterator[tuple[str, Any]]:
    """Requests that the service takes and requests that it does not, all with secrets in them."""
    params = {"login": SECRETS["task password"], "password": SECRETS["task password"]}
    tasks = [{"id": number, "data": {"image": at}} for number, at in enumerate(pictures)]
    yield "/predict", {"tasks": tasks, "params": params}
    yield "/predict", {"tasks": tasks[:3], "params": {**params, "context": drawn("rectanglelabels")}}
    yield "/predict", {"tasks": tasks[:3], "params": params, "label_config": "<View/>"}
    yield "/predict", {"tasks": [{"data": {"pic": pictures[0]}}], "params": params}
    yield "/predict", {"tasks": [{"data": pictures[0]}, 7], "params": params}
    yield "/predict", {"tasks": tasks[:1], "params": {"login": [SECRETS["task password"]]}}
    yield "/predict", {"tasks": tasks[:1], "params": SECRETS["task password"]}
    yield "/predict", {"tasks": tasks[:1], "params": params, "label_config": "<View"}
    setup = {
        "project": "1",
        "schema": "<View/>",
        "access_token": SECRETS["access token"],
        "extra_params": json.dumps({"key": SECRETS["extra parameters"]}),
    }
    yield "/setup", setup
    yield "/setup", {**setup, "schema": "<View", "extra_params": {"key": SECRETS["extra parameters"]}}
    yield "/setup", {**setup, "schema": 7}
    yield "/setup", {**setup, "access_token": {"x": SECRETS["access token"]}}
    for route in ("/predict", "/setup", "/webhook", "/train"):
        yield route, json.dumps({**setup, "params": params})[:-3].encode()
        yield route, json.dumps([setup, params]).encode()
    yield (
        "/webhook",
        {"action": "ANNOTATION_CREATED", "task": tasks[0], "project": setup, "annotation": params},
    )
    yield "/webhook", {"action": setup}


def everything(server: Server, elsewhere: Elsewhere, closed_port: int) -> dict[str, str]:
    """Make it fail in every way; returns all that it said and wrote."""
    said: dict[str, str] = {}

    def ask(method: str, path: str, body: Any = None, **headers: str) -> None:
        answer = server.ask(method, path, body, headers={**AUTHORIZATION, **headers}, timeout=120)
        name = f"the answer {len(said)} to {method} {path.partition('?')[0]}"
        said[name] = f"{answer.headers}\n{answer.text}"

    pictures = addresses(elsewhere, closed_port)
    refusals = (
        (200, {"access": ACCESS_TOKEN}),
        (401, {"detail": "Token is invalid or expired"}),
        (500, {"access": ACCESS_TOKEN}),
        (200, {"access": "not a token\n"}),
        (302, {}),
    )
    for refresh in refusals:
        elsewhere.refresh = refresh
        own = [at for at in pictures if isinstance(at, str) and at.startswith(("/data", "/storage", "s3:"))]
        ask("POST", "/predict", {"tasks": [{"id": 1, "data": {"image": at}} for at in own]})
    for path, body in bodies(pictures):
        ask("POST", path, body)
        ask("POST", path, body, **{"Content-Type": "text/plain"})
    for path in ("/status", "/nothing", "/predict", "/livez"):
        ask("GET", f"{path}?token={SIGNATURE}", Cookie=f"session={SECRETS['cookie']}")
        ask("PUT", f"{path}?token={SIGNATURE}", Cookie=f"session={SECRETS['cookie']}")
    guess = base64.b64encode(f"ann:{SECRETS['guess']}".encode()).decode()
    for value in (f"Basic {guess}", f"Bearer {SECRETS['bearer']}", SECRETS["bearer"]):
        ask("GET", "/status", Authorization=value)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"GET /{SIGNATURE} HTTP/1.1\r\nAuthorization {SECRETS['bearer']}\r\n\r\n".encode())
        said["the answer to what is not HTTP"] = connection.makefile("rb").read().decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/setup")
    for name, value in {
        **AUTHORIZATION,
        "Content-Type": "application/json",
        "Content-Length": "9999",
    }.items():
        connection.putheader(name, value)
    connection.endheaders(json.dumps({"access_token": SECRETS["access token"]}).encode())
    connection.close()
    for path in (
        "/status",
        "/metrics",
        "/health",
        "/versions",
        "/docs.json",
        "/schema.json",
        "/playground",
        "/",
    ):
        ask("GET", path)
    for process in server.processes():
        said[f"the command line of {process.pid}"] = " ".join(process.cmdline())
    return said


@pytest.fixture(scope="module")
def told(secretive: Server, elsewhere: Elsewhere, closed_port: int) -> dict[str, str]:
    said = everything(secretive, elsewhere, closed_port)
    assert secretive.stop() == []
    for file in secretive.folder.rglob("*"):
        if file.is_file():
            said[f"the file {file.relative_to(secretive.folder)}"] = file.read_text("utf-8", "replace")
    return said


@pytest.mark.promise("no-secret-shown")
def test_the_secrets_were_in_use(told: dict[str, str], elsewhere: Elsewhere) -> None:
    """Or their absence would show nothing."""
    arrived = "\n".join(elsewhere.seen)
    assert REFRESH_TOKEN in arrived
    assert f"Bearer {ACCESS_TOKEN}" in arrived
    assert SIGNATURE in arrived
    log = told["the file server.log"]
    for reason in ("unauthorized", "server_error", "bad_address", "refused", "not_a_picture", "unreachable"):
        assert reason in log, f"no picture failed as {reason}"
    assert "redis://127.0.0.1" in log


def forms(secret: str) -> Iterator[str]:
    """A secret as it is and as programs write it down."""
    yield secret
    yield urllib.parse.quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    for padding in range(3):  # whatever stands before it
        encoded = base64.b64encode(b" " * padding + secret.encode()).decode()
        yield encoded[4 * (padding > 0) : len(encoded) - 4]


@pytest.mark.promise("no-secret-shown")
@pytest.mark.parametrize("name", [*SECRETS, "refresh token", "access token of Label Studio"])
def test_no_secret_is_told_or_written(told: dict[str, str], name: str) -> None:
    tokens = {"refresh token": REFRESH_TOKEN, "access token of Label Studio": ACCESS_TOKEN}
    secret = cast(str, {**SECRETS, **tokens}[name])

    found = [place for place, text in told.items() if any(form in text for form in forms(secret))]

    assert found == []
