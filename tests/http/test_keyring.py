"""What a server knows of keys while the store does not answer."""

from typing import Any

import pytest

from clew.http.keyring import Access, Keyring
from clew.store.database import StoreUnavailable
from tests.support.clock import ManualClock


class Away:
    """A store that does not answer."""

    async def fetch(self, *_: Any) -> Any:
        raise StoreUnavailable("the store is away")


@pytest.mark.anyio
async def test_known_keys_stay_while_the_store_is_away_which_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keyring = Keyring({"clew_0123456789abcdef": Access("alpha", "")})
    for _ in range(5):
        await keyring.look(Away(), ManualClock())  # type: ignore[arg-type]
    found = keyring.find("clew_0123456789abcdef")
    assert found is not None
    assert found.project == "alpha"
    assert len(caplog.records) == 1
