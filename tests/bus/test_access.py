"""TLS and credentials at real NATS servers, and what is said to whoever is turned away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nats as nats_client
import nkeys
import pytest
from nats.errors import Error as NatsError

from clew.bus.bus import BusError
from clew.bus.nats_access import BusAddress
from clew.bus.nats_bus import NatsBus
from clew.bus.nats_link import NatsLink
from clew.cli import certificates
from clew.clock import SystemClock
from clew.core.entries import Entry, EventKind
from tests.support import store
from tests.support.nats import SECRET, NatsServer, running_nats, settled
from tests.support.nats_access import Key, example
from tests.support.wait import until_async

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    """Certificates for this machine."""
    return certificates.ensure(tmp_path_factory.mktemp("made"), "127.0.0.1", SystemClock().now())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    """Those of another authority."""
    return certificates.ensure(tmp_path_factory.mktemp("other"), "127.0.0.1", SystemClock().now())


@contextmanager
def over_tls(made: certificates.Certificates, more: str = "") -> Iterator[tuple[NatsServer, str]]:
    """Run a server with a certificate; give it, and its URL."""
    tls = f'tls {{ cert_file: "{made.cert}", key_file: "{made.key}" }}\n'
    with running_nats(tls + more) as server:
        yield server, server.url.replace("nats://", "tls://")


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


async def _opened(address: BusAddress, prefix: str = "clew") -> NatsLink:
    link = NatsLink(address, prefix, SECRET)
    try:
        await link.open("test")
    except BusError:
        await link.close()
        raise
    return link


async def _refused(address: BusAddress) -> str:
    with pytest.raises(BusError) as refused:
        await _opened(address)
    return str(refused.value)


async def test_a_server_is_asked_for_a_certificate_of_the_authority_that_is_set(
    made: certificates.Certificates, other: certificates.Certificates, tmp_path: Path
) -> None:
    with over_tls(made) as (_, url):
        link = await _opened(BusAddress(url, made.ca))
        assert link.up
        await link.close()
        for ca in (other.ca, None):
            said = await _refused(BusAddress(url, ca))
            assert "is not trusted (" in said
            assert "CLEW_BUS_CA" in said
        said = await _refused(BusAddress(url, _written(tmp_path / "no.pem", "no certificate")))
        assert "CLEW_BUS_CA" in said
        assert "no.pem" in said
        assert "CLEW_BUS_CA" in await _refused(BusAddress(url, tmp_path / "gone.pem"))


async def test_a_certificate_for_another_name_is_not_trusted(made: certificates.Certificates) -> None:
    with over_tls(made) as (server, _):
        said = await _refused(BusAddress(f"tls://127.1:{server.port}", made.ca))
        assert "is not trusted (" in said


async def test_tls_is_insisted_on(nats: NatsServer, made: certificates.Certificates) -> None:
    """A server that offers none, or somebody before it, must not be sent credentials in the clear."""
    said = await _refused(BusAddress(nats.url.replace("nats://", "tls://user:hush@"), made.ca))
    assert "offers no TLS" in said
    assert "hush" not in said


@pytest.mark.parametrize("ending", ["", "\n"])
async def test_an_nkey_lets_in(tmp_path: Path, ending: str) -> None:
    key, wrong = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    with running_nats(f"authorization {{ users = [ {{ nkey: {key.public} }} ] }}") as server:
        link = await _opened(BusAddress(server.url, None, _written(tmp_path / "seed", key.seed + ending)))
        assert link.up
        await link.close()
        for address in (
            BusAddress(server.url),
            BusAddress(server.url, None, _written(tmp_path / "wrong", wrong.seed)),
            BusAddress(server.url.replace("nats://", "nats://clew:hush@")),
        ):
            said = await _refused(address)
            assert "does not let this process in" in said
            assert "CLEW_BUS_CREDENTIALS" in said
            assert "hush" not in said


async def test_a_creds_file_lets_in(tmp_path: Path) -> None:
    operator, account = Key(nkeys.PREFIX_BYTE_OPERATOR), Key(nkeys.PREFIX_BYTE_ACCOUNT)
    system, user = Key(nkeys.PREFIX_BYTE_ACCOUNT), Key(nkeys.PREFIX_BYTE_USER)
    said_of_operator = operator.jwt(operator.public, {"type": "operator", "version": 2})
    any_number = dict.fromkeys(
        ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage",
         "streams", "consumer"), -1
    )  # fmt: skip
    of_account = {"type": "account", "version": 2, "limits": {**any_number, "wildcards": True}}
    of_system = {"type": "account", "version": 2}
    preload = (
        f"{account.public}: {operator.jwt(account.public, of_account)}\n"
        f"{system.public}: {operator.jwt(system.public, of_system)}"
    )
    configuration = (
        f"operator: {said_of_operator}\nsystem_account: {system.public}\n"
        f"resolver: MEMORY\nresolver_preload {{\n{preload}\n}}\n"
    )
    of_user = account.jwt(
        user.public,
        {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}},
    )
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    with running_nats(configuration) as server:
        link = await _opened(BusAddress(server.url, None, _written(tmp_path / "clew.creds", creds)))
        assert link.up
        await link.close()
        assert "does not let" in await _refused(BusAddress(server.url))


async def test_files_that_are_no_credentials_are_named(nats: NatsServer, tmp_path: Path) -> None:
    said = await _refused(BusAddress(nats.url, None, _written(tmp_path / "odd", "hush-hush")))
    assert "odd holds no nkey's seed" in said
    assert "hush" not in said
    assert "gone can't be read" in await _refused(BusAddress(nats.url, None, tmp_path / "gone"))
    half = _written(tmp_path / "half", Key(nkeys.PREFIX_BYTE_USER).seed[:30])
    assert "half holds no nkey's seed" in await _refused(BusAddress(nats.url, None, half))


# --- the example in the documentation -------------------------------------------------------------


class _Taking:
    """A worker that notes which runs it is handed."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def advance(
        self, run_id: str, claimed: object = None, acknowledge: Callable[[], None] | None = None
    ) -> None:
        self.taken.append(run_id)
        if acknowledge is not None:
            acknowledge()

    def interrupt(self, run_id: str) -> bool:
        return run_id in self.taken


async def test_the_example_of_accounts_permits_what_clew_does_and_no_more(
    made: certificates.Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = Key(nkeys.PREFIX_BYTE_USER)
    worker = _Taking()
    with running_nats(example(key, made)) as server:
        url = server.url.replace("nats://", "tls://")
        address = BusAddress(url, made.ca, _written(tmp_path / "seed", key.seed))
        working = NatsBus(address, prefix="clew", secret=SECRET, worker="worker_1", limit=5)
        serving = NatsBus(address, prefix="clew", secret=SECRET, worker="worker_2", limit=0)
        working.dispatch.serve(worker, lambda due: None)
        serving.dispatch.serve(None, lambda due: None)
        await working.open(lambda: None)
        await serving.open(lambda: None)
        await serving._link.jetstream.account_info()

        heard: list[bytes] = []
        stranger = await nats_client.connect(
            url.replace("tls://", "tls://stranger:pass@"), tls=_trusting(made.ca), error_cb=_ignore
        )

        async def hear(message: object) -> None:
            heard.append(b"heard")

        await stranger.subscribe(">", cb=hear)
        await settled(stranger)

        serving.dispatch.advance("run_1")
        await until_async(lambda: worker.taken == ["run_1"])
        reader = serving.events.feed.subscribe(store.PROJECT, lambda: store.NOW)
        await reader.ready.wait()
        run = store.run("run_2")
        working.events.committed("run_2", [Entry(5, EventKind.RUN_IN_PROGRESS, run)])
        await reader.wait()
        assert reader.take() is not None
        reader.close()
        await settled(stranger)
        assert heard == [], "another account hears nothing"
        for bus in (working, serving):
            assert bus.dropped == 0
            await bus.dispatch.close()
            await bus.close()
        assert "does not permit" not in caplog.text

        elsewhere = NatsBus(address, prefix="elsewhere", secret=SECRET, worker="worker_3", limit=5)
        with pytest.raises(BusError, match=r"does not permit what Clew needs .*elsewhere"):
            await elsewhere.open(lambda: None)
        assert "does not permit what Clew needs" in caplog.text
        await elsewhere.dispatch.close()
        await elsewhere.close()
        await stranger.close()


async def _ignore(error: Exception) -> None:
    assert isinstance(error, NatsError)


def _trusting(ca: Path) -> object:
    import ssl

    return ssl.create_default_context(cafile=ca)
