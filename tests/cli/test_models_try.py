"""``clew models try``: a table of what works, what was learned, and the table to keep."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clew.cli.main import cli
from clew.model.endpoints import endpoints_of
from clew.settings import load
from clew.testing.replies import Reply, Request
from clew.testing.scripted_model import ScriptedModel, call, echo


def _try(home: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(
        cli, ["models", "try", "--data-dir", str(home), *arguments], env={"COLUMNS": "200", **environment}
    )


def _answers(request: Request) -> Reply | str:
    """Answer as a model that can do everything would."""
    asked = request.last_user_text
    if request.tool_outputs:
        return next(iter(request.tool_outputs.values()))
    if request.tools:
        return Reply((call(request.tools[0], {"room": "kitchen"}),))
    if "response_format" in request.body:
        return '{"word": "clew"}'
    return "Red." if "colour" in asked else echo(request)


def test_everything_that_works_is_said_to_work(tmp_path: Path) -> None:
    with ScriptedModel(default=_answers, api_key="sk-secret-key") as model:
        done = _try(tmp_path, "--model-url", model.url, CLEW_MODEL_API_KEY="sk-secret-key")
    assert done.exit_code == 0, done.output
    lines = [line.split("  ")[0] for line in done.output.splitlines()[:5]]
    assert lines == ["ok"] * 5
    assert "nothing had to be done differently" in done.output
    assert "sk-secret-key" not in done.output


def test_what_was_learned_can_be_kept(tmp_path: Path) -> None:
    with ScriptedModel() as model:

        def strict(request: Request) -> Reply | str:
            if "stream_options" in request.body:
                return model_fails(400, "Unrecognized request argument supplied: stream_options")
            if "max_completion_tokens" in request.body:
                return model_fails(422, "max_completion_tokens: unknown field, use max_tokens")
            return _answers(request)

        def model_fails(status: int, message: str) -> Reply:
            return ScriptedModel().fail(status, message)

        model.default = strict
        (tmp_path / "clew.toml").write_text(f'[models."my model"]\nurl = "{model.url}"\nname = "m"\n')
        done = _try(tmp_path, "my model")
        assert done.exit_code == 0, done.output
        assert "Learned: drop, limit_field." in done.output
        kept = done.output.partition("To keep, in clew.toml:")[2]
        table = tomllib.loads(kept)["models"]["my model"]
        assert table == {
            "url": model.url,
            "name": "m",
            "drop": ["stream_options"],
            "limit_field": "max_tokens",
            "tools": True,
            "vision": True,
        }
        (tmp_path / "clew.toml").write_text(kept)
        assert endpoints_of(load(data_dir=tmp_path))["my model"].limit_field == "max_tokens"
        again = _try(tmp_path, "my model")
        assert "nothing had to be done differently" in again.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model-url", "http://127.0.0.1:1/v1"], 1, "could not be reached"),
        (["nobody"], 3, "There is no model 'nobody'"),
        (["--model-url", "http://user:pw@h/v1"], 2, "CLEW_MODEL_URL"),
    ],
)
def test_who_does_not_answer_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.delenv("CLEW_MODEL_URL", raising=False)
    done = _try(tmp_path, *arguments)
    assert (done.exit_code, said in done.output) == (code, True), done.output


def test_what_does_not_work_is_said(tmp_path: Path) -> None:
    def plain(request: Request) -> Reply | str:
        if any(isinstance(message["content"], list) for message in request.messages):
            return ScriptedModel().fail(400, "This model takes no pictures.")
        return "I can't."

    with ScriptedModel(default=plain) as model:
        done = _try(tmp_path, "--model-url", model.url)
    assert done.exit_code == 0
    marks: dict[str, Any] = {}
    for line in done.output.splitlines()[:5]:
        mark, _, rest = line.partition("  ")
        marks[rest.strip().split("  ")[0]] = mark
    assert marks == {
        "a short answer": "ok",
        "a streamed answer": "ok",
        "a call of a function": "no",
        "JSON of a schema": "no",
        "a picture": "no",
    }
    assert "takes no pictures" in done.output
    assert "vision = false" in done.output


def test_an_endpoint_that_only_streams_is_tried_to_the_end(tmp_path: Path) -> None:
    def streams(request: Request) -> Reply | str:
        if not request.stream:
            return ScriptedModel().fail(400, "This model only supports stream mode.")
        return _answers(request)

    with ScriptedModel(default=streams) as model:
        done = _try(tmp_path, "--model-url", model.url)
    assert done.exit_code == 0, done.output
    marks = [line.partition("  ")[0] for line in done.output.splitlines()[:5]]
    assert marks == ["no", "ok", "ok", "ok", "ok"]


def test_nothing_that_an_owner_said_is_lost_and_no_secret_is_shown(tmp_path: Path) -> None:
    with ScriptedModel(default=_answers, api_key="sk-secret-key") as model:
        written = (
            f'[models.m]\nurl = "{model.url}"\ntimeout = 30.0\nretry_for = 5.0\nthink = "hide"\n'
            "reasoning = true\nprices = { prompt = 2.5, completion = 10.0 }\n"
        )
        secret = 'key = "sk-secret-key"\nheaders = { X-Gate = "let-me-in" }\n'
        (tmp_path / "clew.toml").write_text(written + secret)
        done = _try(tmp_path, "m")
    kept = done.output.partition("To keep, in clew.toml:")[2]
    can = {"tools": True, "vision": True}
    assert tomllib.loads(kept)["models"]["m"] == tomllib.loads(written)["models"]["m"] | can
    assert "# not shown, as they may hold a key: X-Gate, key" in kept
    assert "sk-secret-key" not in done.output
    assert "let-me-in" not in done.output


def test_no_key_is_shown_wherever_it_stands(tmp_path: Path) -> None:
    with ScriptedModel(default=_answers) as model:
        (tmp_path / "clew.toml").write_text(
            f'[models.m]\nurl = "{model.url}?sig=hunter2"\n'
            'query = { code = "hunter2", api-version = "1" }\n'
            'headers = { X-Token = "hunter2" }\n'
        )
        done = _try(tmp_path, "m")
        found = CliRunner().invoke(cli, ["doctor", "--data-dir", str(tmp_path)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert f"m at {model.url} answers" in found.output
    assert "hunter2" not in done.output + found.output
    assert "# not shown, as they may hold a key: X-Token, code, sig" in done.output
    table = done.output[done.output.index("[models.m]") :]
    kept = tomllib.loads(table)["models"]["m"]
    assert (kept["url"], kept["query"]) == (model.url, {"api-version": "1"})


def test_an_endpoint_that_goes_away_is_not_said_to_be_without(tmp_path: Path) -> None:
    def leaves(request: Request) -> Reply | str:
        return ScriptedModel().fail(503, "Later.") if request.tools else _answers(request)

    with ScriptedModel(default=leaves) as model:
        done = _try(tmp_path, "--model-url", model.url)
    assert "unknown" in done.output.splitlines()[2]
    assert "tools = " not in done.output
    assert "vision = true" in done.output


def test_what_a_model_calls_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    def odd(request: Request) -> Reply | str:
        if request.tools and not request.tool_outputs:
            return Reply((call(request.tools[0], {"room": "\x1b]0;\x07" + "x" * 500}),))
        return _answers(request)

    with ScriptedModel(default=odd) as model:
        done = _try(tmp_path, "--model-url", model.url)
    assert "\x1b" not in done.output
    assert "x" * 100 not in done.output
