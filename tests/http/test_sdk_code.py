"""code_interpreter through the vendor's package: what its event handlers and its accumulated steps hold."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler
from typing_extensions import override

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api
from tests.support.server import KEYS
from tests.support.servers import Servers

pytestmark = [
    pytest.mark.filterwarnings("ignore:(The Assistants API is )?deprecated:DeprecationWarning"),
    pytest.mark.anyio,
]

CODE = """import matplotlib.pyplot as plt
plt.plot([1, 4, 9])
plt.show()
open('/mnt/data/squares.csv', 'w').write('1,4,9')
print("\N{BALL OF YARN}")
"""
ANSWER = "[squares](sandbox:/mnt/data/squares.csv)"


@pytest.fixture
def plotting(servers: Servers, model: ScriptedModel) -> Iterator[Api]:
    with servers.start(sandbox_python=Path(sys.executable)) as api:
        model.call("code_interpreter", {"code": CODE})
        model.reply(ANSWER)
        yield api


class Heard:
    """What a handler is told."""

    def __init__(self) -> None:
        self.input, self.outputs, self.images, self.done = "", list[Any](), list[str](), list[Any]()

    def piece(self, delta: Any) -> None:
        self.input += delta.code_interpreter.input or ""
        self.outputs += delta.code_interpreter.outputs or []

    def check(self, client_file: Any) -> None:
        """See that pieces and wholes agree."""
        assert self.input == CODE
        assert [each.type for each in self.outputs] == ["logs", "image"]
        call = self.done[0]  # the package tells it once more whenever a step ends
        assert call == self.done[-1]
        assert call.code_interpreter.input == CODE
        assert call.code_interpreter.outputs[0].logs == "\N{BALL OF YARN}"
        assert self.images == [call.code_interpreter.outputs[1].image.file_id]
        assert client_file == b"1,4,9"


class Listener(AssistantEventHandler):
    def __init__(self, heard: Heard) -> None:
        super().__init__()
        self.heard_here = heard

    @override
    def on_tool_call_delta(self, delta: Any, snapshot: Any) -> None:
        self.heard_here.piece(delta)

    @override
    def on_tool_call_done(self, tool_call: Any) -> None:
        self.heard_here.done.append(tool_call)

    @override
    def on_image_file_done(self, image_file: Any) -> None:
        self.heard_here.images.append(image_file.file_id)


class AsyncListener(AsyncAssistantEventHandler):
    def __init__(self, heard: Heard) -> None:
        super().__init__()
        self.heard_here = heard

    @override
    async def on_tool_call_delta(self, delta: Any, snapshot: Any) -> None:
        self.heard_here.piece(delta)

    @override
    async def on_tool_call_done(self, tool_call: Any) -> None:
        self.heard_here.done.append(tool_call)

    @override
    async def on_image_file_done(self, image_file: Any) -> None:
        self.heard_here.images.append(image_file.file_id)


def _linked(messages: Any) -> str:
    """Return the file that the answer links to."""
    (message,) = [each for each in messages if each.role == "assistant"]
    text = message.content[-1].text
    (annotation,) = text.annotations
    assert text.value[annotation.start_index : annotation.end_index] == annotation.text
    return str(annotation.file_path.file_id)


def test_an_event_handler_hears_code_outputs_and_plots(servers: Servers, plotting: Api) -> None:
    heard = Heard()
    with openai.OpenAI(base_url=f"{servers.server.url}/v1", api_key=KEYS["alpha"], max_retries=0) as client:
        agent = client.beta.assistants.create(model="scripted", tools=[{"type": "code_interpreter"}])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Squares?"}])
        with client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=agent.id, event_handler=Listener(heard)
        ) as stream:
            stream.until_done()
        file = _linked(client.beta.threads.messages.list(thread.id))
        heard.check(client.files.content(file).read())


async def test_an_asynchronous_event_handler_hears_them_too(servers: Servers, plotting: Api) -> None:
    heard, url = Heard(), f"{servers.server.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEYS["alpha"], max_retries=0) as client:
        agent = await client.beta.assistants.create(model="scripted", tools=[{"type": "code_interpreter"}])
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Squares?"}])
        async with client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=agent.id, event_handler=AsyncListener(heard)
        ) as stream:
            await stream.until_done()
        file = _linked([each async for each in client.beta.threads.messages.list(thread.id)])
        heard.check((await client.files.content(file)).content)
