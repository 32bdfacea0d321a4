"""A graph that asks a model, for LangGraph's own server."""

import os

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]
from langgraph.graph import END, START, MessagesState, StateGraph  # type: ignore[import-not-found]

model = ChatOpenAI(model="stub", base_url=os.environ["PEER_MODEL_URL"], api_key="none")


async def answer(state: MessagesState) -> dict[str, object]:
    """Ask the model."""
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = (
    StateGraph(MessagesState)
    .add_node("answer", answer)
    .add_edge(START, "answer")
    .add_edge("answer", END)
    .compile()
)
