"""What endpoints say instead of an answer, as a run's last_error says it, and what can be learned of it."""

from typing import Any

import pytest

from clew.model.trouble import Problem, TooMany, cleaned, model_error, problem_of, too_many


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"error": {"message": "No such model.", "type": "invalid_request_error"}}, "No such model."),
        ({"error": "No such model."}, "No such model."),
        ({"error": {"error": {"message": "No such model."}}}, "No such model."),
        ({"message": "No such model."}, "No such model."),
        ({"Message": "No such model."}, "No such model."),
        ({"detail": "No such model."}, "No such model."),
        ({"errors": [{"message": "No such model."}]}, "No such model."),
        ([{"error": {"code": 404, "message": "No such model.", "status": "NOT_FOUND"}}], "No such model."),
        (
            {
                "detail": [
                    {"loc": ["body", "stream_options"], "msg": "Extra inputs", "type": "extra_forbidden"}
                ]
            },
            "body.stream_options: Extra inputs",
        ),
        (
            {"error": {"message": "Provider", "metadata": {"raw": '{"error":{"message":"No such model."}}'}}},
            "Provider: No such model.",
        ),
        ('{"error": "No such model."}', "No such model."),
        ("No such model.", "No such model."),
        ({"error": {"message": '{"message": "No \\ud800 model."}'}}, "No \ufffd model."),
        ({"error": {"code": "model_not_found"}}, "model_not_found"),
        ({}, ""),
        (None, ""),
        (7, ""),
        ({"error": {"message": None}}, ""),
    ],
)
def test_the_providers_words_are_found_wherever_they_stand(said: Any, words: str) -> None:
    assert problem_of(said, 400).words == words


def test_words_that_nest_without_end_are_not_followed() -> None:
    said: Any = "deep"
    for _ in range(500):
        said = {"error": said}
    assert problem_of(said, 400).words == ""


@pytest.mark.parametrize(
    ("said", "status", "code", "again"),
    [
        ({"error": "x"}, 429, "rate_limit_exceeded", True),
        ({"error": {"message": "x", "code": 429}}, 200, "rate_limit_exceeded", True),
        ({"error": {"message": "x", "type": "rate_limit_error"}}, 503, "rate_limit_exceeded", True),
        ({"error": {"message": "You exceeded your quota."}}, 403, "rate_limit_exceeded", False),
        ({"error": {"message": "x", "code": "\u00b2"}}, 200, "server_error", True),
        ({"error": {"message": "x", "status": "RESOURCE_EXHAUSTED"}}, None, "rate_limit_exceeded", True),
        ({"error": "x"}, 400, "invalid_prompt", False),
        ({"error": "x"}, 422, "invalid_prompt", False),
        ({"error": "x"}, 401, "server_error", False),
        ({"error": "x"}, 529, "server_error", True),
        ({"error": {"message": "x", "code": "503"}}, None, "server_error", True),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, None, "server_error", False),
    ],
)
def test_a_problem_has_a_code_and_may_pass(said: Any, status: int | None, code: str, again: bool) -> None:
    error = model_error(problem_of(said, status), "It failed")
    assert (error.code, error.again) == (code, again)


def test_secrets_and_addresses_are_taken_out_and_dummies_are_left() -> None:
    assert cleaned("bad key abcdefgh12", ["abcdefgh12"]) == "bad key [key]"
    assert cleaned("x is not a model", ["x"]) == "x is not a model"
    assert cleaned("no host at 10.0.0.7:80\n\x00!") == "no host at [address] !"
    assert cleaned("see CLEW_MODEL_URL, not clew_0123456789abcdef") == "see CLEW_MODEL_URL, not [key]"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, you requested 10000 tokens "
            "(9000 in the messages, 1000 in the completion). Please reduce the length of the messages.",
            TooMany(8192, 9000),
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 8292 tokens "
            "(300 in the messages, 7992 in the completion). Please reduce the length of the messages.",
            TooMany(8192, 300),
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length "
            "is 4096 tokens and your request has 200 input tokens (5000 > 4096 - 200).",
            TooMany(4096, 200),
        ),
        ("prompt is too long: 210000 tokens > 200000 maximum", TooMany(200000, 210000)),
        (
            "the request exceeds the available context size (4096 tokens), try increasing it",
            TooMany(4096, None),
        ),
        ("request (5321 tokens) exceeds the available context size (4,096 tokens)", TooMany(4096, 5321)),
        ("Input length 9000 exceeds the maximum allowed input length of 8192 tokens", TooMany(8192, 9000)),
        (
            "Requested token count exceeds the model's maximum context length of 32768 tokens",
            TooMany(32768, None),
        ),
        ("Input is too long for requested model.", TooMany(None, None)),
        ("Your input exceeds the context window of this model.", TooMany(None, None)),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            TooMany(1048576, 1200000),
        ),
        (
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            TooMany(131072, 537812),
        ),
        (
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]",
            TooMany(30720, None),
        ),
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. "
            "Given: 5000 `inputs` tokens and 100 `max_new_tokens`",
            TooMany(4097, 5000),
        ),
        ("`inputs` must have less than 1000 tokens. Given: 1500", TooMany(1000, 1500)),
        ("Current length is 9000 while limit is 8192", TooMany(8192, 9000)),
        ("The provided prompt is 9000 tokens long, only 8192 are supported", TooMany(8192, 9000)),
        ("This model supports at most 8192 tokens, but 9001 were given", TooMany(8192, 9001)),
        ("You sent 9001 tokens, which is more than the 8192 this model can take", TooMany(8192, 9001)),
        (
            "Token indices sequence length is longer than the specified maximum sequence length "
            "for this model (9001 > 8192)",
            TooMany(8192, 9001),
        ),
        ("Your input exceeded: 9001/8192 tokens", TooMany(8192, 9001)),
        ("Please shorten your prompt: 9,001 tokens, 8,192 allowed", TooMany(8192, 9001)),
        ("输入长度超过模型最大上下文长度 8192", TooMany(8192, None)),
        ("prompt 超长", TooMany(None, None)),
    ],
)
def test_a_refusal_for_length_is_read(words: str, expected: TooMany) -> None:
    assert too_many(problem_of({"error": {"message": words}}, 400)) == expected


@pytest.mark.parametrize(
    "words",
    [
        "Unrecognized request argument supplied: stream_options",
        "Invalid image",
        "No such model 4096",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "max_tokens must be at least 1, got -900",
        "invalid temperature: maximum is 2",
        "",
    ],
)
def test_other_refusals_are_none_for_length(words: str) -> None:
    assert too_many(Problem(words, 400)) is None
