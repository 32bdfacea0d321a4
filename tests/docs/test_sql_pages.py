"""The pages of all SQL say what the databases are asked."""

import pytest

from tests.docs.sql_pages import FOLDER, PAGES, declared, page


@pytest.mark.parametrize("file", PAGES)
def test_a_page_of_sql_is_up_to_date(file: str) -> None:
    text = (FOLDER / file).read_text(encoding="utf-8")
    assert text == page(PAGES[file]), "run python -m tests.docs.sql_pages"


def test_every_statement_of_the_store_is_on_them() -> None:
    names = {name for _, name, _ in declared()}
    assert {"INSERT_RUN", "END_RUN", "UPDATE_CALL", "ANNOUNCE", "HOLD_FOR_RUN"} <= names
    assert len(names) > 90
