"""Which addresses may be connected to, and what ALLOWED_IMAGE_HOSTS changes."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from adapters.pictures.errors import PictureError
from adapters.pictures.fetching.address import Origin, parse_web_address, shown
from adapters.pictures.fetching.guard import AddressPolicy, is_public


def admits(pattern: str, host: str, address: str, port: int = 80) -> bool:
    return AddressPolicy.of(None, [pattern]).admits(host, port, ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::808:808"]
)
def test_public_addresses_are_admitted_without_a_list(address: str) -> None:
    assert AddressPolicy.of(None, []).admits("any.example", 80, ip_address(address))


@given(st.integers(0, 2**32 - 1), st.integers(1, 65535))
def test_an_ipv4_address_has_one_answer_in_each_way_of_carrying_it(number: int, port: int) -> None:
    policy = AddressPolicy.of(None, ["10.1.0.0/16", "cdn.example"])
    plain = policy.admits("cdn.example", port, IPv4Address(number))
    mapped = IPv6Address((0xFFFF << 32) | number)
    nat64 = IPv6Address((0x64FF9B << 96) | number)
    assert policy.admits("cdn.example", port, mapped) == plain
    assert policy.admits("cdn.example", port, nat64) == plain


@given(st.integers(0, 2**32 - 1))
def test_what_is_public_is_global_for_python_too(number: int) -> None:
    address = IPv4Address(number)
    if is_public(address):
        assert address.is_global
        kinds = [address.is_multicast, address.is_reserved, address.is_loopback, address.is_link_local]
        assert not any(kinds)


@given(st.integers(0, 2**128 - 1))
def test_of_ipv6_only_global_unicast_is_public(number: int) -> None:
    address = IPv6Address(number)
    if is_public(address):
        assert number >> 125 == 1 or number >> 32 in {0xFFFF, 0x64FF9B << 64}


class TestLabelStudio:
    policy = AddressPolicy.of(Origin("http", "ls.internal", 8080), [])

    def test_may_be_anywhere(self) -> None:
        for address in ["127.0.0.1", "10.0.0.1", "169.254.1.1", "::1", "8.8.8.8"]:
            assert self.policy.admits("ls.internal", 8080, ip_address(address))

    def test_its_other_ports_and_neighbours_are_not_meant(self) -> None:
        assert not self.policy.admits("ls.internal", 6379, ip_address("10.0.0.1"))
        assert not self.policy.admits("redis.internal", 8080, ip_address("10.0.0.1"))


class TestAllowedHosts:
    def test_a_name_may_be_private_or_on_this_machine(self) -> None:
        for address in ["10.0.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "127.0.0.1", "::1"]:
            assert admits("minio", "minio", address)
        assert not admits("minio", "minio2", "10.0.0.1")
        assert not admits("minio", "a.minio", "10.0.0.1")

    @pytest.mark.promise("no-metadata-addresses")
    @pytest.mark.parametrize(
        "address",
        ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "100.100.100.200", "fd00:ec2::254", "::"],
    )
    def test_no_name_leads_to_metadata_link_local_or_multicast(self, address: str) -> None:
        assert not admits("minio", "minio", address)
        assert not admits("*.example.org", "a.example.org", address)

    def test_a_wildcard_covers_all_names_below_and_not_the_loopback(self) -> None:
        assert admits("*.example.org", "a.example.org", "10.0.0.1")
        assert admits("*.example.org", "a.b.example.org", "10.0.0.1")
        assert not admits("*.example.org", "example.org", "10.0.0.1")
        assert not admits("*.example.org", "badexample.org", "10.0.0.1")
        assert not admits("*.example.org", "a.example.org", "127.0.0.1")

    def test_a_port_narrows_it(self) -> None:
        assert admits("minio:9000", "minio", "10.0.0.1", 9000)
        assert not admits("minio:9000", "minio", "10.0.0.1", 9001)
        assert admits("10.0.0.5:9000", "10.0.0.5", "10.0.0.5", 9000)
        assert not admits("10.0.0.5:9000", "10.0.0.5", "10.0.0.5", 22)
        assert admits("[fd12::5]:9000", "fd12::5", "fd12::5", 9000)

    def test_a_network_is_taken_literally(self) -> None:
        assert admits("10.0.0.0/8", "any", "10.1.2.3")
        assert admits("10.0.0.0/8", "any", "::ffff:10.1.2.3")
        assert not admits("10.0.0.0/8", "any", "172.16.0.1")
        assert admits("10.0.0.5", "any", "10.0.0.5")
        assert admits("fd12::/16", "any", "fd12::1")
        assert admits("169.254.0.0/16", "any", "169.254.1.1")

    def test_names_are_compared_in_one_form(self) -> None:
        assert admits("MinIO.Example.", "minio.example", "10.0.0.1")
        assert admits("bücher.example", "xn--bcher-kva.example", "10.0.0.1")
        assert admits(" minio ", "minio", "10.0.0.1")

    @pytest.mark.parametrize(
        "pattern",
        ["", "*", "*.*", "a*.example", "http://minio", "minio/path", "minio:", "minio:0", "minio:x", "minio:70000",
         "10.0.0.0/33", "10.0.0.1/8", "*.10.0.0.1", "a b", "127.1", "-a.example"],
    )  # fmt: skip
    def test_what_is_no_pattern_stops_the_start(self, pattern: str) -> None:
        with pytest.raises(ValueError, match="ALLOWED_IMAGE_HOSTS"):
            AddressPolicy.of(None, [pattern])


def read_or_refused(address: str) -> URL | None:
    try:
        return parse_web_address(address)
    except PictureError as error:
        if error.reason != "bad_address" or not str(error).isprintable():
            raise
        return None


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("http://Example.ORG", "http://example.org"),
            ("HTTPS://example.org:443/a", "https://example.org/a"),
            ("http://example.org./a?b#c", "http://example.org/a?b"),
            ("http://example.org?a=/..", "http://example.org/?a=/.."),
            ("http://[2606:4700:4700:0::1111]:81/", "http://[2606:4700:4700::1111]:81/"),
            ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
            ("http://example.org/a b%20c", "http://example.org/a%20b%20c"),
            ("http://example.org/%zz", "http://example.org/%25zz"),
            ("http://my_service:9000/a", "http://my_service:9000/a"),
        ],
    )
    def test_is_read_into_one_form(self, text: str, url: str) -> None:
        assert str(parse_web_address(text)).rstrip("/") == url.rstrip("/")

    def test_one_with_a_password_is_told_so(self) -> None:
        with pytest.raises(PictureError, match="user name or password") as caught:
            parse_web_address("https://user:secret@nas.example/a.jpg")
        assert "secret" not in str(caught.value)

    @given(st.text(max_size=40))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for address in [text, f"http://{text}", f"http://example.org{text}", f"http://example.org/{text}"]:
            url = read_or_refused(address)
            if url is None:
                continue
            assert url.scheme in {"http", "https"}
            assert url.user is None
            assert url.raw_host is not None
            assert url.raw_host.isascii()
            if address.startswith("http://example.org/"):
                assert url.raw_host == "example.org"

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("http://a.example/b.png?X-Signature=secret", "http://a.example/b.png"),
            ("http://user:secret@a.example/b.png", "http://…@a.example/b.png"),
            ("http://user:sec/ret@a.example/b.png", "http://…@a.example/b.png"),
            ("http:\\\\user:secret@a.example/b.png", "…@a.example/b.png"),
            ("user:secret@a.example/b.png", "…@a.example/b.png"),
            ("//user:secret@a.example/b.png", "…@a.example/b.png"),
            ("s3://user:secret@bucket/b.png", "s3://…@bucket/b.png"),
            ("/data/upload/1/b@2x.png", "/data/upload/1/b@2x.png"),
            (URL("http://a.example/b@2x.png?X-Signature=secret"), "http://a.example/b@2x.png"),
            ("data:image/png;base64,c2VjcmV0", "data:image/png;base64,…"),
            ("data:c2VjcmV0", "data:,…"),
            ("http://a\r\nb", "http://a\\r\\nb"),
        ],
    )
    def test_is_shown_without_secrets(self, address: str, expected: str) -> None:
        assert shown(address) == expected

    def test_is_not_shown_at_full_length(self) -> None:
        assert len(shown("http://a.example/" + "a" * 10_000)) < 250
