"""``clew chat``."""

import contextlib
import sys

import click

from clew.cli import used_threads
from clew.cli.remote import Remote, on_server
from clew.cli.talk import Answerer, answering, attached, own_tools, talk_options, thread_to_go_on_with
from clew.toolkit.conversation.manager import ConversationManager
from clew.toolkit.tools.executor import ProposedCall, ToolExecutor
from clew.toolkit.tools.text import clean


@click.command(
    epilog="""\b
Examples:
  clew chat
  clew chat --instructions "You are a patient teacher of Portuguese."
  clew chat --last                       go on where you stopped
  clew chat --tools --approve            ask me before each tool call

\b
In the chat, /help lists what you can do; Ctrl-C stops an answer, Ctrl-D leaves.
What you paste is one message; a \\ at the end of a line goes on in the next, /edit opens your editor.
"""
)
@talk_options
@click.option("--tools/--no-tools", default=False, help="let it use a calculator and a clock")
@click.option("--approve", is_flag=True, help="ask me before each call of these tools")
@on_server
def chat(
    remote: Remote,
    agent_id: str | None,
    model: str | None,
    instructions: str | None,
    thread_id: str | None,
    last: bool,
    timeout: float,
    tools: bool,
    approve: bool,
) -> int:
    """Talk with an agent. The thread stays, so that you can go on another day."""
    from clew.cli.chat_session import ChatSession

    thread = thread_to_go_on_with(remote, thread_id, last)
    executor = own_tools(_ask_first if approve else None) if tools or approve else ToolExecutor()
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # gives input() the keys of a shell

            # What is pasted is one message, however many lines it has. libedit knows nothing of it.
            readline.parse_and_bind("set enable-bracketed-paste on")
    with answering(remote, Answerer(agent_id, model, instructions), executor) as agent:

        def begin(on_thread: str | None) -> ConversationManager:
            return ConversationManager(
                remote.service, agent, thread_id=on_thread, tools=executor, timeout=timeout
            )

        session = ChatSession(begin, thread, executor, lambda path: attached(remote, [path]))
        try:
            return session.talk()
        finally:
            if session.thread_id is not None:
                used_threads.remember(remote.data_dir, remote.place, session.thread_id)


def _ask_first(call: ProposedCall) -> bool:
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return click.confirm(clean(f"Run {call.name}({arguments})?"), err=True)
