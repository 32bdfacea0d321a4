"""Schemathesis makes requests from the OpenAPI document, right ones and wrong ones, against a real server.

Nothing may be a server error, nothing may be answered that the document does not say, nothing wrong may
be accepted, and nothing right refused.
"""

from typing import Any

import schemathesis
from schemathesis import Case, Config

from clew.http.openapi import document
from tests.openapi.checks import CHECKS, REPLACED
from tests.openapi.target import Target, prepare

CONFIG = Config.from_dict(
    {
        # Derandomised, and nothing of one session is remembered for the next.
        "generation": {"deterministic": True, "database": "none", "max-examples": 15},
        "phases": {"examples": {"enabled": False}},
        "checks": REPLACED,
    }
)
schema = schemathesis.openapi.from_dict(document(), config=CONFIG).exclude(
    operation_id=["follow_project", "create_file"]
)
"""All operations but one whose right requests are answered for ever, and one whose body is a form."""


@schema.parametrize()
def test_generated_requests_are_answered_as_the_document_says(case: Case[Any], target: Target) -> None:
    prepare(case, target.world)
    case.call_and_validate(**target.sending, additional_checks=CHECKS)
