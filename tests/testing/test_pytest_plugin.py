"""The fixtures, in a pytest of their own as a user would have it."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

USES_BOTH = """
    import openai

    def test_one(clew_server, clew_model):
        clew_model.reply("Hello")
        assert clew_server.model is clew_model
        with openai.OpenAI(base_url=clew_server.openai_base_url, api_key=clew_server.api_key) as client:
            assert client.beta.assistants.list().data == []
            client.beta.assistants.create(model="m")

    def test_two(clew_server, clew_model):
        assert clew_model.pending == 0
        with openai.OpenAI(base_url=clew_server.openai_base_url, api_key=clew_server.api_key) as client:
            assert len(client.beta.assistants.list().data) == {agents}
        clew_server.kill()

    def test_three(clew_server):
        assert clew_server.is_running()
"""


@pytest.mark.parametrize(("scope", "agents"), [("function", 0), ("session", 1)])
def test_fixtures(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, scope: str, agents: int
) -> None:
    monkeypatch.setenv("CLEW_API_KEY", "must-not-matter")
    monkeypatch.setenv("CLEW_PORT", "nonsense")
    pytester.makeini(f"[pytest]\nclew_server_scope = {scope}\n")
    pytester.makepyfile(USES_BOTH.replace("{agents}", str(agents)))
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_an_error_in_a_script_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import openai

        def test_model_alone(clew_model):
            clew_model.answer(lambda request: 1 / 0)
            with openai.OpenAI(base_url=clew_model.url, api_key="k", max_retries=0) as client:
                try:
                    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
                except openai.InternalServerError:
                    pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ZeroDivisionError*"])


def test_a_wrong_scope_is_explained(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nclew_server_scope = galaxy\n")
    pytester.makepyfile("def test_it(clew_model): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret != 0
    assert (
        "clew_server_scope must be function, module or session" in result.stdout.str() + result.stderr.str()
    )


def test_loading_the_plugin_imports_nothing_of_weight() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import clew.testing.pytest_plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['clew', 'clew.testing', 'clew.testing.pytest_plugin']"
