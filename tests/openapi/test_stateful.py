"""Schemathesis walks from what it creates to what can be done with it, and holds that deleted means gone."""

from collections import Counter
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import Case, Config, Response

from clew.http.openapi import document
from tests.openapi.checks import REPLACED, accepts_what_is_right
from tests.openapi.target import Target, prepare_body, prepare_headers
from tests.support.api import TERMINAL

CONFIG = Config.from_dict(
    {
        "generation": {"deterministic": True, "database": "none", "mode": "positive"},
        # Generated requests were sent without a key already.
        # The document's own links; what lists hold depends on what was done before.
        "phases": {"stateful": {"inference": {"algorithms": []}}},
        "checks": REPLACED | {"ignored_auth": {"enabled": False}},
    }
)
SETTINGS = hypothesis.settings(
    max_examples=30,
    stateful_step_count=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
schema = schemathesis.openapi.from_dict(document(), config=CONFIG).exclude(tag=["files", "vector_stores"])
"""All operations but those on files, which are made by forms."""


@pytest.mark.timeout(400)  # 300 requests, and their checks, on a machine that may be busy
def test_what_is_created_can_be_used_until_it_is_deleted(target: Target) -> None:
    done: Counter[tuple[str, int]] = Counter()

    class Walk(schema.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Case[Any]) -> None:
            prepare_headers(case)
            prepare_body(case, target.world)

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return target.sending

        def after_call(self, response: Response, case: Case[Any]) -> None:
            super().after_call(response, case)
            _let_it_end(response, target)

        def validate_response(self, response: Response, case: Case[Any], *_: Any, **sending: Any) -> None:
            done[case.operation.label, response.status_code] += 1
            super().validate_response(response, case, [accepts_what_is_right], **sending)

        def teardown(self) -> None:
            super().teardown()
            _make_room_for_webhooks(target)

    Walk.run(settings=SETTINGS)
    assert done["DELETE /threads/{thread_id}", 200]
    assert done["GET /assistants/{assistant_id}", 404]
    assert done["GET /threads/{thread_id}/runs/{run_id}/events", 200]


def _let_it_end(response: Response, target: Target) -> None:
    """Wait until a run is over, so that what comes next meets the same state in each session."""
    if response.headers.get("content-type") == ["application/json"]:
        answer = response.json()
        if answer.get("object") == "thread.run":
            path = f"/threads/{answer['thread_id']}/runs/{answer['id']}"
            assert target.api.get(path, wait=20)["status"] in TERMINAL


def _make_room_for_webhooks(target: Target) -> None:
    """Delete those that a walk has left: a project has so many at most, and the next walk needs some too."""
    for webhook in target.api.get("/webhooks", limit=100)["data"]:
        if webhook["id"] != target.world.webhook_id:
            target.api.delete(f"/webhooks/{webhook['id']}")
