"""Step 3: let the model call functions, and run them safely.

The model only says which function it wants and with what arguments. We decide whether to run it:
known names only, arguments checked, no eval, errors told to the model instead of hidden from it.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python step3_tools.py
"""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text
from simpleeval import InvalidExpression, SimpleEval

from clew.azure import AIProjectClient

console = Console()


def get_current_time() -> str:
    """Return the date and the time of day here."""
    return datetime.now().astimezone().strftime("%H:%M on %A, %d %B %Y")


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression. simpleeval knows arithmetic and nothing else."""
    if len(expression) > 200:
        raise ValueError("the expression is too long")
    try:
        return str(SimpleEval(functions={}, names={}).eval(expression))
    except (InvalidExpression, SyntaxError, ArithmeticError, TypeError) as error:
        raise ValueError(f"cannot calculate {expression!r}: {error}") from error


FUNCTIONS: dict[str, Callable[..., str]] = {"get_current_time": get_current_time, "calculate": calculate}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_current_time",
            "description": "Get the current date and time",
            "parameters": {"type": "object", "properties": {}, "required": []},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "calculate",
            "description": "Calculate an arithmetic expression",
            "parameters": {
                "type": "object",
                "properties": {"expression": {"type": "string", "description": "e.g. 25 * 47"}},
                "required": ["expression"],
            },
        },
    },
]


def answer(name: str, arguments: str) -> str:
    """Run one call; whatever goes wrong becomes an output that the model can read."""
    try:
        function = FUNCTIONS[name]
        given = json.loads(arguments or "{}")
        if not isinstance(given, dict):
            raise ValueError("the arguments must be a JSON object")
        result = function(**given)
    except KeyError:
        return json.dumps({"error": f"there is no function {name!r}; known: {sorted(FUNCTIONS)}"})
    except (ValueError, TypeError) as error:
        return json.dumps({"error": str(error)})
    return json.dumps({"result": result})


def run_with_tools(project: AIProjectClient, thread_id: str, agent_id: str) -> Any:
    """Start a run and answer its calls until it ends; return the run."""
    runs = project.agents.runs
    run = runs.create(thread_id=thread_id, agent_id=agent_id)
    while run.status in ("queued", "in_progress", "requires_action"):
        if run.status == "requires_action":
            outputs = []
            for call in run.required_action.submit_tool_outputs.tool_calls:
                output = answer(call.function.name, call.function.arguments)
                console.print(
                    Text(f"  {call.function.name}({call.function.arguments}) -> {output}", style="cyan")
                )
                outputs.append({"tool_call_id": call.id, "output": output})
            run = runs.submit_tool_outputs(thread_id=thread_id, run_id=run.id, tool_outputs=outputs)
        time.sleep(0.05)
        run = runs.get(thread_id=thread_id, run_id=run.id)
    return run


def main() -> None:
    """Ask something that needs two functions."""
    with AIProjectClient(
        endpoint=os.environ["PROJECT_ENDPOINT"], credential=os.environ["OPENAI_API_KEY"]
    ) as project:
        agents = project.agents
        agent = agents.create_agent(
            model=os.environ["MODEL_DEPLOYMENT_NAME"],
            name="tool-agent",
            instructions="You are a helpful assistant. Use the tools when they help.",
            tools=TOOLS,
        )
        thread = agents.threads.create()
        question = "What time is it right now, and what is 25 * 47?"
        agents.messages.create(thread_id=thread.id, role="user", content=question)
        console.print("[bold]user:[/]", Text(question))

        run = run_with_tools(project, thread.id, agent.id)
        if run.status != "completed":
            raise SystemExit(f"The run ended {run.status}: {run.last_error}")
        reply = agents.messages.get_last_message_text_by_role(thread_id=thread.id, role="assistant")
        console.print("[bold]assistant:[/]", Text(reply.text.value if reply else "(nothing)"))

        agents.threads.delete(thread.id)
        agents.delete_agent(agent.id)


if __name__ == "__main__":
    main()
