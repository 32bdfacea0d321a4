"""Search in files: the model asks, is given passages with markers, and cites them with these.

Source: OpenAI's guide to file search and azure-ai-agents' recordings: the markers, the shape of results.
"""

from collections.abc import Sequence

from msgspec import Struct

from clew.core.citing import marker
from clew.core.options import Json
from clew.core.records import Call, Outcome, Run
from clew.core.tools import FILE_SEARCH, FileSearchOptions, FileSearchTool, FunctionDefinition
from clew.search.embedder import Unembeddable
from clew.store import runs, vector_stores
from clew.store.database import Database
from clew.tools.searcher import Found, Searcher, Wanted
from clew.tools.tool import CallContext, WrongArguments, arguments_of, failed

_USUAL = 20
"""Passages that a model is given, unless its agent says otherwise."""

_MOST_TOLD = 60 * 1024
"""Bytes of passages that a model is given: of what comes after, it is told nothing."""

_RANKER = "default_2024_08_21"
_FIRST_SEARCH = 3
"""What the number of the turn is counted from in markers: the first search is number 4, as recorded."""

_AT_ONCE = 50
"""Results of one call, at most: calls of one turn share its number."""

_FUNCTION = FunctionDefinition(
    name=FILE_SEARCH,
    description=(
        "Search the user's files for passages about something. Every passage comes with a marker such as "
        "【4:0†name】. Whenever you use a passage, write its marker, exactly as it is, right behind what you "
        "say. Search again with other words if nothing fits; never make up a marker."
    ),
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for, in a few words."}},
        "required": ["query"],
    },
)


class _Arguments(Struct):
    query: str | None = None
    queries: list[str] = []

    @property
    def text(self) -> str:
        return "\n".join(each for each in (self.query, *self.queries) if each).strip()


class FileSearch:
    """Searches in the vector stores of a run's agent and of its thread."""

    kind = FILE_SEARCH
    repeatable = True
    deadline = 60_000

    def __init__(self, db: Database, searcher: Searcher) -> None:
        self._db, self._searcher = db, searcher

    def functions(self, tool: FileSearchTool) -> Sequence[FunctionDefinition]:
        """Return the one function, whatever the tool's options are."""
        return (_FUNCTION,)

    async def perform(self, call: Call, context: CallContext) -> Outcome:
        """Search, and return passages with markers.

        Raises:
            WrongArguments: nothing is looked for.
        """
        query = arguments_of(call, _Arguments).text
        if not query:
            raise WrongArguments("Say what to look for, in 'query'.")
        run = await self._db.fetch(runs.get, context.project, context.thread_id, context.run_id)
        if run is None:
            return failed("The run is not there any more.")
        now = context.clock.now()
        stores = await self._db.fetch(vector_stores.several, context.project, stores_of(run))
        open_ = [store for store in stores if store.status(now) != "expired"]
        if not open_:
            return failed("There are no files to search in: no vector store, or it has expired.")
        options = _options(run, call)
        threshold = (options.ranking_options and options.ranking_options.score_threshold) or 0.0
        wanted = Wanted(query, options.max_num_results or _USUAL, threshold)
        try:
            found = await self._searcher.search(open_, wanted)
        except Unembeddable as trouble:
            return failed(trouble.message)
        return _outcome(call, query, found, threshold)


def stores_of(run: Run) -> list[str]:
    """Return the vector stores of a run: its agent's or its own, then its thread's."""
    resources = run.config.tool_resources.file_search
    own = list((resources and resources.vector_store_ids) or ())
    return list(dict.fromkeys([*own, *run.config.thread_stores]))


def _options(run: Run, call: Call) -> FileSearchOptions:
    offer = run.config.offers.get(call.name)
    tool = run.config.tools[offer.tool] if offer is not None else None
    return (isinstance(tool, FileSearchTool) and tool.file_search) or FileSearchOptions()


def _outcome(call: Call, query: str, found: list[Found], threshold: float) -> Outcome:
    told, results, left = [], [], _MOST_TOLD
    for number, each in enumerate(found, call.index * _AT_ONCE):
        sign = marker(call.turn + _FIRST_SEARCH, number, each.file.filename)
        where = f" page {each.chunk.page}" if each.chunk.page is not None else ""
        passage = f"{sign}{where}\n{each.chunk.text.strip()}\n"
        left -= len(passage.encode())
        if left < 0:
            break
        told.append(passage)
        results.append(_result(sign, each))
    head = (
        f"Passages about {query!r}, the best first. Cite one by its marker.\n"
        if told
        else "Nothing was found."
    )
    detail = {
        "ranking_options": {"ranker": _RANKER, "score_threshold": threshold},
        "results": results,
    }
    return Outcome(output="\n".join([head, *told]), detail=detail)


def _result(sign: str, found: Found) -> Json:
    chunk = found.chunk
    return {
        "marker": sign,
        "file_id": found.file.id,
        "file_name": found.file.filename,
        "score": round(found.score, 6),
        "attributes": dict(found.file.attributes),
        "content": [{"type": "text", "text": chunk.text}],
        "chunk": chunk.number,
        "page": chunk.page,
        "first_line": chunk.first_line,
        "last_line": chunk.last_line,
    }
