"""The guard of outgoing HTTP: what leads inside is refused before anything is connected to."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from clew.cli.main import cli
from clew.net.client import BODY_LIMIT, GuardedHttp, Reply, Unreachable
from clew.net.guard import Guard, UrlBlocked
from tests.webhooks.receiver import Answer, Receiver

WRITTEN = [
    # this machine, however it is written
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0x7f.0.0.1/",
    "http://127.0.0.1./",
    "http://127.255.255.254/",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[::1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://www.localhost/",
    # inner networks
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://192.0.0.8/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://192.88.99.1/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fec0::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    # link-local, multicast, reserved
    "http://169.254.0.1/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://[ff02::1]/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    # metadata
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:168.63.129.16]/",
    # IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a00:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b::a83f:8110]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2607:f8b0::5efe:a00:1]/",
    "http://[2607:f8b0::200:5efe:c0a8:1]/",
    # other schemes, and things that are no URL
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "unix:///run/docker.sock",
    "javascript:alert(1)",
    "//example.com/",
    "example.com",
    "http://",
    "http:///path",
    "http:example.com",
    "http://[::1",
    "http://[v1.x]/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://example.com:80:80/",
    # ports of other services
    *(f"http://example.com:{port}/" for port in (1, 22, 25, 79, 81, 110, 442, 587, 993, 1023)),
    *(f"https://93.184.216.34:{port}/" for port in (2375, 3306, 5432, 6379, 6667, 10250, 11211, 27017)),
    # parsers that disagree
    "http://user:password@example.com/",
    "http://user@example.com/",
    "http://@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1:80@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0.0.1%2f@example.com/",
    "http://127.0.0.1%23.example.com/",
    "http://ex%00ample.com/",
    "http://example.com/\r\nx-injected: yes",
    "\thttp://127.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://1.1.1.1.1/",
    "http://256.1.1.1/",
    "http://1.1.1/",
    "http://0x/",
    "http://a..b/",
    "http://-.com/",
    "https://example.com/" + "x" * 2048,
]
"""URLs that are refused as they are written."""

RESOLVED = {
    "one inside": ["10.0.0.1"],
    "this machine": ["127.0.0.1"],
    "metadata": ["169.254.169.254"],
    "Azure's wire server": ["168.63.129.16"],
    "one outside and one inside": ["93.184.216.34", "192.168.1.1"],
    "inside in IPv6": ["2606:4700::1111", "fd00::1"],
    "mapped": ["::ffff:10.0.0.1"],
    "NAT64": ["64:ff9b::a00:1"],
    "6to4": ["2002:a00:1::"],
    "with a zone": ["fe80::1%eth0"],
    "global with a zone": ["2606:4700::1%eth0"],
    "unspecified": ["0.0.0.0"],
    "not an address": ["example.com"],
}
"""What names resolve to that are refused, although their URLs look well."""

OUTSIDE = [
    "https://example.com/hook?x=1#part",
    "http://93.184.216.34:8080/",
    "https://[2606:4700::1111]/",
    "https://[64:ff9b::808:808]/",
    "https://[::ffff:8.8.8.8]/",
    "https://xn--bcher-kva.example/",
    "https://a_b.example.com./",
    "https://1.example/",
]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """What listens on this machine. It must hear nothing that was not allowed."""
    with Receiver() as receiver:
        yield receiver


def resolving(*addresses: str) -> Guard:
    """Return a guard for which every name has these addresses."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Guard(resolve=resolve)


def post(guard: Guard, url: str, tls: ssl.SSLContext | None = None, timeout: float = 5) -> Reply:
    """Send a request to a URL."""

    async def send() -> Reply:
        http = GuardedHttp(guard, timeout=timeout, tls=tls)
        try:
            return await http.post(url, b"{}", {"x-test": "yes"})
        finally:
            await http.aclose()

    return asyncio.run(send())


def without_connecting(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Record every attempt to connect a socket, and let it fail."""
    attempts: list[object] = []

    async def refuse(self: object, sock: object, address: object) -> None:
        attempts.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", refuse)
    return attempts


def test_the_table_is_long_enough() -> None:
    assert len(set(WRITTEN)) + len(RESOLVED) >= 100


@pytest.mark.parametrize("url", WRITTEN)
def test_a_url_that_leads_inside_is_refused_without_connecting(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    attempts = without_connecting(monkeypatch)
    with pytest.raises(UrlBlocked):
        post(resolving("93.184.216.34"), url)
    assert attempts == []


@pytest.mark.parametrize("addresses", RESOLVED.values(), ids=RESOLVED)
def test_a_name_that_leads_inside_is_refused_without_connecting(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    attempts = without_connecting(monkeypatch)
    with pytest.raises(UrlBlocked):
        post(resolving(*addresses), "https://innocent.example/")
    assert attempts == []


@pytest.mark.parametrize("url", OUTSIDE)
def test_what_leads_outside_is_connected_to_at_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    attempts = without_connecting(monkeypatch)
    with pytest.raises(Unreachable):
        post(resolving("93.184.216.34"), url)
    assert attempts
    literal = {"93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:808:808", "::ffff:8.8.8.8"}
    assert all(isinstance(each, tuple) and each[0] in literal for each in attempts)


def test_a_name_that_changes_its_mind_is_asked_once_and_gains_nothing(receiver: Receiver) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    guard = Guard(f"rebinding.example:{receiver.port}", rebinding)
    reply = post(guard, f"http://Rebinding.example:{receiver.port}/")
    assert reply.status == 200
    assert asked == ["rebinding.example"]
    assert receiver.heard[-1].headers["host"] == f"rebinding.example:{receiver.port}"


def test_the_owner_may_open_a_host_and_port_an_address_or_a_network(receiver: Receiver) -> None:
    url = f"http://{receiver.address}/"
    for allow in (receiver.address, "127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", f"::1,{receiver.address}"):
        assert post(Guard(allow), url).status == 200
    before = receiver.connections
    for allow in ("127.0.0.1:1", "127.0.0.2", "10.0.0.0/8", "example.com:80"):
        with pytest.raises(UrlBlocked):
            post(Guard(allow), url)
    assert receiver.connections == before


def test_the_owner_may_open_a_port_of_one_host_and_a_network_opens_none() -> None:
    guard = Guard("hooks.example:25, 10.1.0.0/16")
    assert guard.check("http://hooks.example:25/").port == 25
    for url in ("http://other.example:25/", "http://hooks.example:26/", "http://10.1.0.1:25/"):
        with pytest.raises(UrlBlocked, match="port"):
            guard.check(url)
    assert guard.check("http://10.1.0.1:8080/").port == 8080


def test_nothing_opens_metadata_services() -> None:
    guard = Guard("0.0.0.0/0,::/0,169.254.169.254:80,metadata.internal:80")
    for url in ("http://169.254.169.254/", "http://[64:ff9b::a9fe:a9fe]/", "http://168.63.129.16/"):
        with pytest.raises(UrlBlocked):
            guard.check(url)


@pytest.mark.parametrize("allow", ["nonsense", "host:", ":80", "host:0", "host:70000", "10.0.0.1/8"])
def test_an_entry_that_says_nothing_is_an_error(allow: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        Guard(allow)


def test_a_server_does_not_start_with_such_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_OUTBOUND_ALLOW", "10.0.0.0/8,nonsense")
    done = CliRunner().invoke(cli, ["serve", "--data-dir", str(tmp_path / "data")])
    assert done.exit_code == 2
    assert "CLEW_OUTBOUND_ALLOW: 'nonsense' is neither" in done.stderr


def test_a_redirect_is_an_answer(receiver: Receiver) -> None:
    receiver.answer(Answer(302, {"location": "http://169.254.169.254/"}))
    before = receiver.connections
    assert post(Guard("127.0.0.1"), receiver.url).status == 302
    assert receiver.connections == before + 1


def test_a_long_answer_is_read_up_to_the_limit(receiver: Receiver) -> None:
    receiver.answer(Answer(body=b"x" * BODY_LIMIT), Answer(body=b"x" * 50_000_000))
    assert post(Guard("127.0.0.1"), receiver.url) == Reply(200, b"x" * BODY_LIMIT, True)
    assert post(Guard("127.0.0.1"), receiver.url) == Reply(200, b"x" * BODY_LIMIT, False)


def test_an_answer_that_does_not_come_is_given_up() -> None:
    with Receiver() as slow:
        slow.answer(Answer(held=True))
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            post(Guard("127.0.0.1"), slow.url, timeout=0.2)


def test_the_status_counts_though_the_body_never_ends() -> None:
    with Receiver() as slow:
        slow.answer(Answer(body=b"half", missing=4))
        assert post(Guard("127.0.0.1"), slow.url, timeout=0.3) == Reply(200, b"half", False)


def test_nobody_there_is_said_in_plain_words(receiver: Receiver) -> None:
    with Receiver() as gone:
        url = gone.url
    with pytest.raises(Unreachable, match="could not be connected to"):
        post(Guard("127.0.0.1"), url)

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(Unreachable, match="name could not be resolved"):
        post(Guard(resolve=unknown), "https://unknown.example/")


def test_tls_checks_the_name_though_the_address_was_chosen_by_us() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("receiver.example").configure_cert(serving)
    names: list[object] = []
    serving.sni_callback = lambda sock, name, context: names.append(name)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with Receiver(tls=serving) as receiver:
        guard = Guard("127.0.0.1", here)
        assert post(guard, f"https://receiver.example:{receiver.port}/", trusting).status == 200
        assert names == ["receiver.example"]
        with pytest.raises(Unreachable, match="TLS"):
            post(guard, f"https://another.example:{receiver.port}/", trusting)
        with pytest.raises(Unreachable, match="TLS"):
            post(guard, f"https://receiver.example:{receiver.port}/")
        assert len(receiver.heard) == 1
