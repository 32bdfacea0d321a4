"""Pyodide and Deno for tests, from a cache that all test runs share."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clew.ids import RandomIds
from clew.sandbox.wasm.deno import find_deno
from clew.sandbox.wasm.driver import Wasm
from clew.sandbox.wasm.pyodide import fetch_pyodide
from clew.weights.errors import WeightsError
from tests.support.weights import weights_cache


def real_pyodide() -> Path:
    """Return a data directory with Pyodide, fetched first if need be; or skip the test."""
    if find_deno() is None:
        pytest.skip("no Deno: make setup")
    try:
        fetch_pyodide(weights_cache())
    except WeightsError as error:
        pytest.skip(f"no Pyodide: {error}")
    return weights_cache()


@contextmanager
def running_wasm() -> Iterator[tuple[asyncio.Runner, Wasm]]:
    """A driver that was tried, and the loop that its sessions live on."""
    data_dir = real_pyodide()
    with asyncio.Runner() as runner:
        driver = Wasm(data_dir, RandomIds())
        try:
            assert runner.run(driver.missing()) is None
            yield runner, driver
        finally:
            runner.run(driver.close())
