"""Conversations with agents: against Clew, or any service that speaks the same wire.

The classes take an ``openai`` client, one of Azure's, or the URL of a Clew server::

    from clew.toolkit import ConversationManager, ToolExecutor, connect

    service = connect("http://127.0.0.1:8787/v1", api_key)
    tools = ToolExecutor([get_weather])
    agent = service.create_agent("gpt", tools=tools.definitions)
    with ConversationManager(service, agent.id, tools=tools) as conversation:
        print(conversation.send("How is the weather in Oslo?").text)

What waits (``send``) has a coroutine beside it (``asend``).
"""

from clew.toolkit.connect import connect
from clew.toolkit.conversation.limits import Limits
from clew.toolkit.conversation.manager import ConversationManager
from clew.toolkit.conversation.summary import ConversationSummary
from clew.toolkit.monitor.events import RunResult
from clew.toolkit.monitor.follower import Polling
from clew.toolkit.monitor.monitor import RunMonitor
from clew.toolkit.monitor.views import LiveView, PlainView
from clew.toolkit.performance.monitor import PerformanceMonitor
from clew.toolkit.performance.report import Report
from clew.toolkit.service import Service
from clew.toolkit.tools.examples import calculate, clock_tool
from clew.toolkit.tools.executor import ProposedCall, ToolExecutor
from clew.toolkit.tools.results import ToolResult
from clew.toolkit.tools.tool import Tool, tool

__all__ = [
    "ConversationManager",
    "ConversationSummary",
    "Limits",
    "LiveView",
    "PerformanceMonitor",
    "PlainView",
    "Polling",
    "ProposedCall",
    "Report",
    "RunMonitor",
    "RunResult",
    "Service",
    "Tool",
    "ToolExecutor",
    "ToolResult",
    "calculate",
    "clock_tool",
    "connect",
    "tool",
]
