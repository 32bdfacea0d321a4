"""Schemathesis makes requests from the OpenAPI document, right ones and wrong ones, against a real server.

Nothing may be a server error, nothing may be answered that the document does not say, nothing wrong may
be accepted, and nothing right refused.
"""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Config, Response
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from clew.http.openapi import document
from tests.openapi.target import Target, is_about_state, prepare

CONFIG = Config.from_dict(
    {
        # Derandomised, and nothing of one session is remembered for the next.
        "generation": {"deterministic": True, "database": "none", "max-examples": 25},
        "phases": {"examples": {"enabled": False}},
    }
)
schema = schemathesis.openapi.from_dict(document(), config=CONFIG)


def accepts_what_is_right(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """Hold that a well-formed request is only refused for the state of things, which is 400 here."""
    if response.status_code == 400 and is_about_state(_error(response)["message"]):
        return None
    return positive_data_acceptance(ctx, response, case)


def a_wrong_body_is_400(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """Hold that a wrong body is told so: 404 would mean that it was believed so far."""
    if case.meta is not None and case.meta.is_negative_at(ParameterLocation.BODY):
        assert response.status_code != 404, "a wrong body was looked into"
    return None


def _error(response: Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    return error


@schema.parametrize()
def test_generated_requests_are_answered_as_the_document_says(case: Case, target: Target) -> None:
    prepare(case, target.world)
    case.call_and_validate(
        **target.sending,
        excluded_checks=[positive_data_acceptance],
        additional_checks=[accepts_what_is_right, a_wrong_body_is_400],
    )
