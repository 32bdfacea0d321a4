"""Vector stores get the vectors of another embedding model, while the old ones serve."""

import json
from typing import NamedTuple

import httpx2
import pytest

from clew.testing.embeddings import DIMENSIONS
from clew.testing.scripted_model import ScriptedModel
from tests.http.test_vector_stores import BREAD, MAZE
from tests.support.api import Api, Json
from tests.support.database import change, dump
from tests.support.server import OPERATOR_KEY
from tests.support.servers import Servers
from tests.support.wait import until

OLD, NEW = "scripted-embedding", "another-embedding"
LONG = "\n".join(f"Sentence {number} of a long book." for number in range(500)).encode()


def _store(api: Api, *files: bytes) -> str:
    return api.store(*(api.upload(data, f"{number}.txt") for number, data in enumerate(files)))


def _search(api: Api, store: str, query: str) -> Json:
    return api.post(f"/vector_stores/{store}/search", {"query": query})


def _reindexed(api: Api, store: str) -> Json:
    """Return a store once nothing of it is being reindexed."""

    def over() -> Json | None:
        found = api.get(f"/vector_stores/{store}")
        state = found["reindexing"]
        return found if state is None or state["error"] is not None else None

    return until(over)


def _told(api: Api) -> Json:
    """Return what ``GET /status`` says of vectors."""
    answer = httpx2.get(f"{api.url}/status", headers={"api-key": OPERATOR_KEY})
    found: Json = answer.json()["embeddings"]
    return found


class Vectors(NamedTuple):
    """A row of the table."""

    store_file: int
    embedder: str
    dimensions: int
    windows: int
    ranges: str
    data: bytes


def _vectors(servers: Servers) -> list[Vectors]:
    return [Vectors(*row) for row in dump(servers.place)["vectors"]]  # type: ignore[arg-type]


def _made_by(servers: Servers) -> list[str]:
    """Return by whom the vectors are, one name a file."""
    found = _vectors(servers)
    assert all(each.dimensions == DIMENSIONS for each in found)
    return [each.embedder for each in found]


def _at_work(servers: Servers) -> set[object]:
    """Return the kinds of due work that there is."""
    return {kind for _, kind, *_ in dump(servers.place)["due_work"]}


def test_a_store_gets_the_vectors_of_another_model(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        store = _store(api, MAZE, BREAD)
        best = _search(api, store, "bake bread")
        assert best["warning"] is None
    with servers.start(embeddings=NEW) as api:
        before = api.get(f"/vector_stores/{store}")
        assert (before["embedding_model"], before["needs_reindex"]) == (OLD, True)
        words = _search(api, store, "bread")
        assert [each["filename"] for each in words["data"]] == ["1.txt"], "words alone find it"
        assert f"made with {OLD}" in words["warning"]
        assert f"`clew stores reindex {store}`" in words["warning"]
        gate = model.hold_embeddings()
        assert _told(api) == {"model": NEW, "stores_of_other_models": 1}
        begun = api.post(f"/vector_stores/{store}/reindex")
        state = {"embedding_model": NEW, "files_done": 0, "files": 2, "error": None}
        assert (begun["embedding_model"], begun["reindexing"]) == (OLD, state)
        assert api.post(f"/vector_stores/{store}/reindex")["reindexing"] == state, "once is enough"
        assert _search(api, store, "bread")["data"], "what is there serves meanwhile"
        gate.release()
        done = _reindexed(api, store)
        assert (done["embedding_model"], done["needs_reindex"], done["reindexing"]) == (NEW, False, None)
        assert _search(api, store, "bake bread") == best
        assert _told(api) == {"model": NEW, "stores_of_other_models": 0}
        until(lambda: "reindex" not in _at_work(servers))
        assert _made_by(servers) == [NEW, NEW]
        assert api.get(f"/vector_stores/{store}")["usage_bytes"] == before["usage_bytes"]
        assert api.post(f"/vector_stores/{store}/reindex")["reindexing"] is None
        assert "reindex" not in _at_work(servers)


def test_what_is_held_of_the_old_vectors_is_let_go(servers: Servers) -> None:
    """A search before, and one after the switch, in the process that switches."""
    with servers.start(embeddings=None) as api:
        store = _store(api, MAZE, BREAD)
    with servers.start() as api:
        assert _search(api, store, "labyrinth thread")["warning"] is None, "it has no vectors to miss"
        api.post(f"/vector_stores/{store}/reindex")
        assert _reindexed(api, store)["embedding_model"] == OLD
        scores = [each["score"] for each in _search(api, store, "bread thread")["data"]]
        assert len(scores) == 2
        assert scores[0] > 0.1, "a cosine, where words alone are scored by their place"


def test_a_store_can_lose_its_vectors(servers: Servers) -> None:
    with servers.start() as api:
        store = _store(api, MAZE)
    with servers.start(embeddings=None) as api:
        assert "embeds with none" in _search(api, store, "thread")["warning"]
        api.post(f"/vector_stores/{store}/reindex")
        done = _reindexed(api, store)
        assert (done["embedding_model"], done["needs_reindex"]) == (None, False)
        assert _search(api, store, "thread")["data"]
        until(lambda: not _vectors(servers))


def test_what_chunks_share_is_embedded_once(servers: Servers) -> None:
    with servers.start() as api:
        store = _store(api, LONG)
        (before,) = _vectors(servers)
    with servers.start(embeddings=NEW) as api:
        api.post(f"/vector_stores/{store}/reindex")
        _reindexed(api, store)
        until(lambda: _made_by(servers) == [NEW])
        (after,) = _vectors(servers)
        assert before.windows * 0.8 < after.windows < before.windows * 1.3
        assert len(json.loads(after.ranges)) == len(json.loads(before.ranges))


def test_files_that_come_and_go_meanwhile(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        store = _store(api, MAZE, BREAD)
        gone = api.get(f"/vector_stores/{store}/files")["data"][0]["id"]
    with servers.start(embeddings=NEW) as api:
        gate = model.hold_embeddings()
        api.post(f"/vector_stores/{store}/reindex")
        late = api.upload(b"Daedalus built wings of wax.", "late.txt")
        api.post(f"/vector_stores/{store}/files", {"file_id": late})
        api.delete(f"/vector_stores/{store}/files/{gone}")
        gate.release()
        assert _reindexed(api, store)["embedding_model"] == NEW
        assert api.wait_for_store(store)["file_counts"] == {
            "in_progress": 0, "completed": 2, "failed": 0, "cancelled": 0, "total": 2,
        }  # fmt: skip
        until(lambda: _made_by(servers) == [NEW, NEW])
        (found, *_) = _search(api, store, "wings of wax")["data"]
        assert found["file_id"] == late


def test_a_store_that_is_deleted_meanwhile_leaves_nothing(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        store = _store(api, MAZE, BREAD)
    with servers.start(embeddings=NEW) as api:
        gate = model.hold_embeddings()
        api.post(f"/vector_stores/{store}/reindex")
        api.delete(f"/vector_stores/{store}")
        gate.release()
        left = ("chunks", "vectors", "store_files")
        until(lambda: not any(dump(servers.place)[table] for table in left))
        until(lambda: not {"reindex", "purge"} & _at_work(servers))


def test_a_file_that_is_read_with_the_old_model_gets_new_vectors_in_the_end(
    servers: Servers, model: ScriptedModel
) -> None:
    """Another server of the same installation reads it, which has the old model still."""
    with servers.start() as api:
        store = _store(api, MAZE)
        gate = model.hold_embeddings()
        late = api.upload(BREAD, "bread.txt")
        api.post(f"/vector_stores/{store}/files", {"file_id": late})
        gate.wait_reached()
        change(servers.place, f"UPDATE vectors SET embedder = '{NEW}'")
        change(servers.place, f"UPDATE vector_stores SET embedder = '{NEW}'")
        gate.release()
        found = api.wait_for_store(store)
        assert (found["file_counts"]["completed"], found["reindexing"]["embedding_model"]) == (2, NEW)
    with servers.start(embeddings=NEW) as api:
        assert _reindexed(api, store)["reindexing"] is None
        until(lambda: _made_by(servers) == [NEW, NEW])


def test_a_third_model_takes_over_from_the_second(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        store = _store(api, MAZE, BREAD)
    gate = model.hold_embeddings()
    with servers.start(embeddings=NEW) as api:
        assert api.post(f"/vector_stores/{store}/reindex")["reindexing"]["embedding_model"] == NEW
    gate.release()
    with servers.start(embeddings="a-third") as api:
        assert api.post(f"/vector_stores/{store}/reindex")["reindexing"]["embedding_model"] == "a-third"
        assert _reindexed(api, store)["embedding_model"] == "a-third"
        until(lambda: _made_by(servers) == ["a-third", "a-third"])


def test_the_old_model_comes_back_in_the_middle(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        store = _store(api, MAZE, BREAD)
        before = api.get(f"/vector_stores/{store}")["usage_bytes"]
    model.fail_embeddings(naming="Knead")
    with servers.start(embeddings=NEW) as api:
        api.post(f"/vector_stores/{store}/reindex")
        until(lambda: sorted(_made_by(servers)) == [NEW, OLD, OLD])
        assert api.get(f"/vector_stores/{store}")["usage_bytes"] > before
    model.reset()
    with servers.start() as api:
        assert _search(api, store, "labyrinth thread")["warning"] is None, "its vectors serve"
        assert api.post(f"/vector_stores/{store}/reindex")["reindexing"]["embedding_model"] == OLD
        until(lambda: "reindex" not in _at_work(servers))
        assert _made_by(servers) == [OLD, OLD]
        found = api.get(f"/vector_stores/{store}")
        assert (found["reindexing"], found["usage_bytes"]) == (None, before)


def test_it_is_given_up_with_its_reason_and_goes_on_where_it_was(
    servers: Servers, model: ScriptedModel
) -> None:
    with servers.start() as api:
        store = _store(api, MAZE, BREAD)
    with servers.start(embeddings=NEW) as api:
        model.fail_embeddings(naming="Knead")
        api.post(f"/vector_stores/{store}/reindex")

        def given_up() -> Json | None:
            servers.clock.advance(120_000)
            found = api.get(f"/vector_stores/{store}")
            return found if found["reindexing"]["error"] else None

        found = until(given_up)
        assert found["embedding_model"] == OLD
        assert (found["reindexing"]["files_done"], found["reindexing"]["files"]) == (1, 2)
        assert "500" in found["reindexing"]["error"]
        model.reset()
        assert api.post(f"/vector_stores/{store}/reindex")["reindexing"]["files_done"] == 1
        assert _reindexed(api, store)["embedding_model"] == NEW
        until(lambda: _made_by(servers) == [NEW, NEW])


def test_a_file_that_was_refused_says_what_to_do(servers: Servers) -> None:
    with servers.start() as api:
        store = _store(api, MAZE)
    with servers.start(embeddings=NEW) as api:
        file = api.upload(BREAD, "bread.txt")
        api.post(f"/vector_stores/{store}/files", {"file_id": file})
        api.wait_for_store(store)
        error = api.get(f"/vector_stores/{store}/files/{file}")["last_error"]
        assert f"run `clew stores reindex {store}`, then add the file again" in error["message"]
        api.post(f"/vector_stores/{store}/reindex")
        _reindexed(api, store)
        api.post(f"/vector_stores/{store}/files", {"file_id": file})
        assert api.wait_for_store(store)["file_counts"]["completed"] == 2


def test_a_search_in_stores_of_two_models_compares_no_vectors_of_both(
    servers: Servers, model: ScriptedModel
) -> None:
    with servers.start() as api:
        old = _store(api, MAZE)
    with servers.start(embeddings=NEW) as api:
        new = _store(api, BREAD)
        agent = api.agent(
            tools=[{"type": "file_search"}],
            tool_resources={"file_search": {"vector_store_ids": [new]}},
        )
        body = {"tool_resources": {"file_search": {"vector_store_ids": [old]}}}
        thread = api.post("/threads", {"messages": [{"role": "user", "content": "thread?"}], **body})["id"]
        model.call("file_search", {"queries": ["a ball of thread"]})
        model.reply("Ariadne.")
        run = api.run(thread, agent)
        run.wait("completed")
        told = str(model.requests[-1].body["messages"])
        assert "Ariadne gave" in told
        assert "Knead flour" in told


@pytest.mark.parametrize("root", ["/openai/v1", "/api/projects/alpha"])
def test_every_root_knows_it(api: Api, root: str) -> None:
    store = api.store()
    found = api.at(root).post(f"/vector_stores/{store}/reindex")
    assert (found["id"], found["reindexing"], found["needs_reindex"]) == (store, None, False)
    error = api.at(root).refused(404, "POST", "/vector_stores/vs_x/reindex")
    assert error["message"] == "No vector store found with id 'vs_x'."


def test_one_that_has_expired_is_refused(servers: Servers) -> None:
    with servers.start() as api:
        store = api.store(expires_after={"anchor": "last_active_at", "days": 1})
        servers.clock.advance(2 * 24 * 3600 * 1000)
        error = api.refused(400, "POST", f"/vector_stores/{store}/reindex")
        assert error["code"] == "vector_store_expired"
