"""Schemathesis's checks, with what the contract says otherwise."""

import re
from typing import Any

from schemathesis import Case, CheckContext, CheckFunction, Response
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.openapi.target import is_about_state

_VIOLATION = re.compile(r"^\s*- (.*violates.*)$", re.MULTILINE)
_HARMLESS = re.compile(r"(query|header): violates `additionalProperties`|header: .*(Authorization|api-key)")

REPLACED: dict[str, Any] = {
    "positive_data_acceptance": {"enabled": False},
    "negative_data_rejection": {"enabled": False},
}
"""Configuration: the checks that those below stand for."""


def accepts_what_is_right(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Hold that a well-formed request is only refused for the state of things, which is 400 here."""
    if response.status_code == 400:
        said = response.json()["error"]["message"]
        # JSON Schema takes 1.0 for an integer, but the contract's words for it are "got a decimal instead".
        if is_about_state(said) or "expected an integer, but got a decimal" in said:
            return None
        # To JSON Schema an empty parameter is none; a condition for deleting that says nothing is a mistake.
        if "'unchanged_since'" in said and not (case.query or {}).get("unchanged_since"):
            return None
    return positive_data_acceptance(ctx, response, case)


def refuses_what_is_wrong(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Hold that a wrong request is refused. Parameters and headers that nobody knows are not wrong."""
    data = case.meta.phase.data if case.meta is not None else None
    if (
        isinstance(data, CoveragePhaseData)
        and data.scenario == CoverageScenario.OBJECT_UNEXPECTED_PROPERTIES
        and data.parameter_location != ParameterLocation.BODY
    ):
        return None
    try:
        return negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData as found:
        # The key is sent over whatever header was made up, so that one is never really wrong.
        violations = _VIOLATION.findall(found.message)
        if violations and all(_HARMLESS.search(violation) for violation in violations):
            return None
        raise


def a_wrong_body_is_400(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Hold that a wrong body is told so: 404 would mean that it was believed so far."""
    if case.meta is not None and case.meta.is_negative_at(ParameterLocation.BODY):
        assert response.status_code != 404, f"a wrong body was looked into: {case.meta.phase.data}"
    return None


CHECKS: list[CheckFunction] = [accepts_what_is_right, refuses_what_is_wrong, a_wrong_body_is_400]
