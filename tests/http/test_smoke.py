from tests.support.api import Api
def test_it(api: Api) -> None:
    run = api.run(api.thread("hi"), api.agent())
    assert run.wait()["status"] == "completed"
    assert api.texts(run.thread) == ["hi", "You said: hi"]
