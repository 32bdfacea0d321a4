"""What is said at the start of a bus or a database that others could read."""

import pytest

from clew.cli.exposure import warn_about_network
from clew.settings import WrongSettings, load

PG = "postgresql://clew@127.0.0.1/clew"
SECRET = "a secret that has characters enough"


@pytest.fixture(autouse=True)
def _nothing_else_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLMODE", "PGHOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bus_url": "nats://127.0.0.1:4222"}, None),
        ({"bus_url": "nats://localhost,nats://[::1]:4222"}, None),
        ({"bus_url": "nats://bus.internal"}, "says nothing to the bus at bus.internal about who it is"),
        ({"bus_url": "tls://bus.internal"}, "says nothing to the bus"),
        ({"bus_url": "nats://localhost,nats://10.0.0.2"}, "says nothing to the bus at 10.0.0.2"),
        ({"bus_url": "nats://u:hush@bus.internal"}, "can be read on the way"),
        ({"bus_url": "nats://bus.internal", "bus_credentials": "seed"}, "can be read on the way"),
        ({"bus_url": "tls://bus.internal", "bus_credentials": "seed"}, None),
        ({"bus_url": "tls://u:hush@bus.internal"}, None),
    ],
)
def test_a_bus_elsewhere(
    settings: dict[str, str], words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_about_network(load(database_url=PG, **settings))
    _check("\n".join(record.getMessage() for record in caplog.records), words)


def _check(said: str, words: str | None) -> None:
    assert "hush" not in said
    if words is None:
        assert said == ""
    else:
        assert words in said
        assert said.count("\n") == 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////tmp/clew.db", None),
        (PG, None),
        ("postgresql:///clew", None),
        ("postgresql://clew@/clew?host=/run/postgresql", None),
        ("postgresql://clew@%2Frun%2Fpostgresql/clew", None),
        (
            "postgresql://clew:hush@db.internal/clew",
            "sslmode=prefer does not make sure that the database at db",
        ),
        ("postgresql://db.internal:5433/clew?sslmode=require", "sslmode=require does not"),
        ("postgresql://localhost,db.internal:5433/clew", "the database at db.internal "),
        ("postgresql:///clew?host=db.internal", "the database at db.internal "),
        ("postgresql://db.internal/clew?sslmode=verify-ca", None),
        ("postgresql://db.internal/clew?sslmode=verify-full&sslrootcert=ca.pem", None),
    ],
)
def test_a_database_elsewhere(url: str, words: str | None, caplog: pytest.LogCaptureFixture) -> None:
    warn_about_network(load(database_url=url))
    _check("\n".join(record.getMessage() for record in caplog.records), words)


def test_the_environment_of_postgresqls_programs_counts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PGHOST", "db.internal")
    warn_about_network(load(database_url="postgresql:///clew"))
    _check("\n".join(record.getMessage() for record in caplog.records), "the database at db.internal ")
    caplog.clear()
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    warn_about_network(load(database_url="postgresql:///clew"))
    _check("\n".join(record.getMessage() for record in caplog.records), None)


def test_a_secret_that_can_be_guessed_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_SECRET_KEY", "hush-hush")
    with pytest.raises(WrongSettings, match="CLEW_SECRET_KEY: must have 32 characters or more") as raised:
        load()
    assert "hush" not in str(raised.value)
    monkeypatch.setenv("CLEW_SECRET_KEY", SECRET)
    assert SECRET not in repr(load())


def test_an_authority_without_tls_is_a_mistake() -> None:
    with pytest.raises(WrongSettings, match=r"CLEW_BUS_URL must be tls://"):
        load(database_url=PG, bus_url="nats://bus.internal", bus_ca="ca.pem")
