"""None of the addresses in hostile_addresses.json is ever connected to.

Each entry has an address, why it is hostile, and, for a name, the addresses that its DNS answers. No packet
leaves this machine: names are answered from the entry, and a connection would fail the test.
"""

import json
import socket
from collections import Counter
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.label_studio.client.credentials import Credentials
from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.source import PictureLimits, PictureSource
from tests.support.predictor import picture_source

CORPUS = json.loads((Path(__file__).parent / "hostile_addresses.json").read_text())


class Answers(AbstractResolver):
    """DNS that knows the names of one entry only."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to connect a socket; none succeeds."""
    attempts: list[object] = []

    def connect(_: socket.socket, address: object) -> None:
        attempts.append(address)
        raise ConnectionRefusedError("this test connects to nothing")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return attempts


@pytest.mark.promise("only-allowed-addresses")
@pytest.mark.parametrize(
    "entry", CORPUS, ids=[f"{number}-{entry['why']}" for number, entry in enumerate(CORPUS)]
)
async def test_a_hostile_address_is_never_connected_to(entry: dict, connections: list[object]) -> None:
    resolver = Answers(entry.get("resolves_to", []))
    async with PictureSource(
        label_studio_url="https://label-studio.example/ls",
        credentials=Credentials("https://label-studio.example/ls", "a" * 40),
        allowed_hosts=["images.example", "*.images.example", "172.20.0.0/16"],
        local_files_root=None,
        limits=PictureLimits(total_seconds=5),
        resolver=resolver,
    ) as source:
        with pytest.raises(PictureError) as caught:
            await source.fetch(entry["address"], task_id=1)
    assert caught.value.reason in {"refused", "bad_address"}
    assert resolver.asked == [] or "resolves_to" in entry
    assert connections == []
    assert str(caught.value).isprintable()


def test_the_corpus_is_large_and_has_no_entry_twice() -> None:
    entries = Counter((entry["address"], *entry.get("resolves_to", [])) for entry in CORPUS)
    assert len(entries) >= 150
    assert entries.most_common(1)[0][1] == 1


@pytest.mark.parametrize(
    ("address", "host", "connected"),
    [
        ("http://public.example/a.jpg", "public.example", ("93.184.215.14", 80)),
        ("https://PUBLIC.example.:8443/a.jpg", "public.example", ("93.184.215.14", 8443)),
        ("http://bücher.example/ü b.jpg?x=1#f", "xn--bcher-kva.example", ("93.184.215.14", 80)),
    ],
)
async def test_a_public_name_would_be_connected_to(
    address: str, host: str, connected: tuple[str, int], connections: list[object]
) -> None:
    resolver = Answers(["10.0.0.1", "93.184.215.14"])
    async with picture_source(resolver=resolver) as source:
        with pytest.raises(PictureError) as caught:
            await source.fetch(address)
    assert caught.value.reason == "unreachable"
    assert resolver.asked == [host]
    assert connections == [connected]  # the private one of its two addresses is left out


@pytest.mark.parametrize(
    "literal", ["8.8.8.8", "[2606:4700:4700::1111]", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]"]
)
async def test_a_public_literal_would_be_connected_to(literal: str, connections: list[object]) -> None:
    async with picture_source(resolver=Answers([])) as source:
        with pytest.raises(PictureError) as caught:
            await source.fetch(f"http://{literal}/a.jpg")
    assert caught.value.reason == "unreachable"
    assert len(connections) == 1
