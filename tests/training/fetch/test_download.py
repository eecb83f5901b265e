"""One picture from servers that are slow, busy, lying or hostile; and from addresses that must not be reached."""

import time
import tracemalloc
from collections.abc import Iterator, Sequence

import httpx
import pytest
from picture_server import PictureServer, picture, serving

from training.fetch import network as network_module
from training.fetch.download import Downloader, Limits, parse_address
from training.fetch.errors import FetchError
from training.fetch.network import CheckedNetwork, Deadline, is_public, open_client

SMALL = Limits(seconds=1.5, max_bytes=200_000, max_pixels=1_000_000)


@pytest.fixture(scope="module")
def server() -> Iterator[PictureServer]:
    with serving() as running:
        yield running


@pytest.fixture
def downloader() -> Iterator[Downloader]:
    deadline = Deadline()
    with open_client(CheckedNetwork(deadline, allow_private=True), connections=4) as client:
        yield Downloader(client, deadline, SMALL)


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("ok/1.jpg", ".jpg"),
        ("ok/a b.jpg", ".jpg"),
        ("ok/J%C3%A4ckchen.jpg?v=1&w=2", ".jpg"),
        ("png/1.jpg", ".png"),
        ("jpeg-as-html", ".jpg"),
        ("redirect", ".jpg"),
        ("hops/", ".jpg"),
        ("gzip", ".jpg"),
    ],
)
def test_a_picture_is_what_its_bytes_say(server: PictureServer, downloader: Downloader, path: str, suffix: str) -> None:
    assert downloader.get(server.address(path)).suffix == suffix


REASONS = {
    "gone": "http_404",
    "forbidden": "http_403",
    "broken": "http_500",
    "nothing": "http_204",
    "loop": "too_many_redirects",
    "to?file:///etc/passwd": "address_refused",
    "to?ftp://127.0.0.1/a.jpg": "address_refused",
    "to?gopher://127.0.0.1/": "address_refused",
    "to?javascript:alert(1)": "address_invalid",
    "to?data:image/png;base64,AAAA": "address_invalid",
    "to?http://": "too_many_redirects",
    "length-is-no-number": "connection_failed",
    "to?http://127.0.0.1:99999/": "address_invalid",
    "html": "unsupported_image",
    "html-as-jpeg": "unsupported_image",
    "empty": "image_empty",
    "cut": "image_corrupt",
    "promises-more": "connection_failed",
    "promises-less": "image_corrupt",
    "promises-terabytes": "image_too_large",
    "pixels": "image_too_large",
    "bomb": "image_too_large",
    "bad-gzip": "image_corrupt",
    "brotli": "encoding_refused",
    "endless": "image_too_large",
    "drip": "timeout",
    "drip-headers": "timeout",
    "endless-headers": "connection_failed",
    "hang": "timeout",
    "drop": "connection_failed",
    "rubbish": "connection_failed",
}


@pytest.mark.parametrize(("path", "reason"), REASONS.items(), ids=list(REASONS))
def test_what_is_no_picture_is_an_error_in_bounded_time_and_memory(
    server: PictureServer, downloader: Downloader, path: str, reason: str
) -> None:
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(FetchError) as caught:
            downloader.get(server.address(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason == reason
    assert time.monotonic() - began < SMALL.seconds + 5
    assert peak < 20 * 2**20 or path == "pixels"  # the server draws that one in this process


def test_no_server_and_no_name_are_errors(downloader: Downloader) -> None:
    for address, reason in (("http://127.0.0.1:9/a.jpg", "connection_failed"), ("http://a.invalid/", "host_unknown")):
        with pytest.raises(FetchError) as caught:
            downloader.get(address)
        assert caught.value.reason == reason and caught.value.again


@pytest.mark.parametrize(
    "address",
    [
        *("file:///etc/passwd", "FILE:///etc/passwd", "ftp://shop.com/a.jpg", "s3://bucket/a.jpg", "data:image/png,a"),
        *("javascript:alert(1)", "http://", "http:///a.jpg", "http://[::1", "http://shop.com:x/", "", "images/a.jpg"),
        *("http://" + "a" * 9000, "http://sh\nop.com/a.jpg", "http://\x00/", "//", "http://..."),
    ],
)
def test_only_web_addresses_are_asked(address: str, downloader: Downloader) -> None:
    with pytest.raises(FetchError, match=r"address_|host_unknown|connection_failed"):
        downloader.get(address)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("//cdn.shop.com/a.jpg", "https://cdn.shop.com/a.jpg"),
        ("www.shop.com/a.jpg", "https://www.shop.com/a.jpg"),
        (" http://shop.com/a b.jpg ", "http://shop.com/a%20b.jpg"),
        ("HTTP://Shop.com/A.jpg", "http://shop.com/A.jpg"),
        ("https://bücher.example/ä.jpg", "https://xn--bcher-kva.example/%C3%A4.jpg"),
    ],
)
def test_addresses_are_read_as_people_write_them(address: str, url: str) -> None:
    assert parse_address(address) == httpx.URL(url)


PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::127.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1"),
    *("not an address", ""),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "151.101.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses_are_told(address: str) -> None:
    assert is_public(address)


LOOPBACK = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "0"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_is_not_asked_however_it_is_written(server: PictureServer, host: str) -> None:
    before = server.asked.total()
    deadline = Deadline()
    with open_client(CheckedNetwork(deadline), connections=1) as client, pytest.raises(FetchError) as caught:
        Downloader(client, deadline, SMALL).get(server.address("ok/1.jpg", host))
    assert caught.value.reason in ("address_private", "host_unknown", "address_invalid")
    assert server.asked.total() == before


class Names:
    """Names with addresses; each lookup may give others."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.asked: list[str] = []
        self._names = {name.replace("_", "."): list(answers) for name, answers in names.items()}

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def one_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's address counts as public, all others of this machine do not."""
    monkeypatch.setattr(network_module, "is_public", lambda address: address == "127.0.0.1")


def fetch_with(names: Names, address: str) -> bytes:
    deadline = Deadline()
    with open_client(CheckedNetwork(deadline, names=names), connections=2) as client:
        return Downloader(client, deadline, SMALL).get(address).content


@pytest.mark.usefixtures("one_public")
def test_a_connection_goes_to_the_address_that_was_checked(server: PictureServer) -> None:
    """A name that is public at the check and private a moment later is looked up once for a connection."""
    names = Names(shop_test=[["127.0.0.1"], ["127.0.0.9"]])
    assert fetch_with(names, server.address("ok/1.jpg", "shop.test"))
    assert names.asked == ["shop.test"]


@pytest.mark.usefixtures("one_public")
def test_a_name_that_has_a_private_address_too_is_refused(server: PictureServer) -> None:
    with pytest.raises(FetchError, match=r"address_private.*10\.0\.0\.1"):
        fetch_with(Names(shop_test=[["127.0.0.1", "10.0.0.1"]]), server.address("ok/1.jpg", "shop.test"))


@pytest.mark.usefixtures("one_public")
@pytest.mark.parametrize("target", ["http://inner.test/a.jpg", "http://127.0.0.9/", "http://169.254.169.254/latest/"])
def test_a_redirect_into_a_private_network_is_refused(server: PictureServer, target: str) -> None:
    names = Names(
        shop_test=[["127.0.0.1"]],
        inner_test=[["192.168.0.5"]],
        **{"127_0_0_9": [["127.0.0.9"]], "169_254_169_254": [["169.254.169.254"]]},
    )
    with pytest.raises(FetchError, match="address_private"):
        fetch_with(names, server.address(f"to?{target}", "shop.test"))


@pytest.mark.usefixtures("one_public")
def test_a_redirect_that_rebinds_its_own_name_is_refused(server: PictureServer) -> None:
    names = Names(shop_test=[["127.0.0.1"], ["127.0.0.9"]])
    with pytest.raises(FetchError, match="address_private"):
        fetch_with(names, server.address("to?" + server.address("forbidden", "shop.test"), "shop.test"))


def test_a_proxy_of_the_environment_is_not_used(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    deadline = Deadline()
    with open_client(CheckedNetwork(deadline, allow_private=True), connections=1) as client:
        assert Downloader(client, deadline, SMALL).get(server.address("ok/1.jpg")).content
        assert not client.cookies


def test_the_server_draws_other_pictures_for_other_seeds() -> None:
    assert picture(1) != picture(2)
