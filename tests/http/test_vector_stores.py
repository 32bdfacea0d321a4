"""Vector stores: made, filled, searched, changed, deleted; one bad file fails alone.

Source: OpenAI's published API schema (``VectorStoreObject`` and its kin), azure-ai-agents 1.1.0.
"""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json
from tests.support.clock import ManualClock
from tests.support.servers import Servers
from tests.support.wait import until

DAY = 24 * 3600 * 1000
MAZE = b"Ariadne gave Theseus a clew, a ball of thread.\nSo he found his way out of the maze of Knossos.\n"
BREAD = b"Knead flour, water, salt and yeast.\nBake the bread in a hot oven until its crust is brown.\n"


def _file(api: Api, data: bytes = MAZE, name: str = "maze.txt") -> str:
    return api.upload(data, name)


def _search(api: Api, store: str, query: str, **more: Any) -> list[Json]:
    answer = api.post(f"/vector_stores/{store}/search", {"query": query, **more})
    assert answer["object"] == "vector_store.search_results.page"
    assert answer["search_query"] == [query]
    data: list[Json] = answer["data"]
    return data


def test_a_store_is_made_and_its_file_read(api: Api, clock: ManualClock) -> None:
    file = _file(api)
    made = api.post("/vector_stores", {"name": "mazes", "file_ids": [file], "metadata": {"a": "b"}})
    assert made["object"] == "vector_store"
    assert made["id"].startswith("vs_")
    assert made["file_counts"]["in_progress"] + made["file_counts"]["completed"] == 1
    done = api.wait_for_store(made["id"])
    assert done | {"usage_bytes": 0} == {
        "id": made["id"],
        "object": "vector_store",
        "created_at": clock.seconds,
        "name": "mazes",
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1},
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": clock.seconds,
        "metadata": {"a": "b"},
        "embedding_model": "scripted-embedding",
        "needs_reindex": False,
        "reindexing": None,
    }
    assert done["usage_bytes"] >= len(MAZE)
    in_store = api.get(f"/vector_stores/{made['id']}/files/{file}")
    assert in_store == {
        "id": file,
        "object": "vector_store.file",
        "created_at": clock.seconds,
        "vector_store_id": made["id"],
        "usage_bytes": done["usage_bytes"],
        "status": "completed",
        "last_error": None,
        "chunking_strategy": {
            "type": "static",
            "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
        },
        "attributes": {},
    }
    (found, *_) = _search(api, made["id"], "Who found the way out?")
    assert (found["file_id"], found["filename"], found["attributes"]) == (file, "maze.txt", {})
    assert 0 <= found["score"] <= 1
    assert found["content"] == [
        {"type": "text", "text": MAZE.decode(), "chunk": 0, "page": None, "first_line": 1, "last_line": 2}
    ]
    content = api.get(f"/vector_stores/{made['id']}/files/{file}/content")
    assert content["data"] == found["content"]


def test_an_empty_store_is_completed_and_finds_nothing(api: Api) -> None:
    store = api.post("/vector_stores", {})
    assert (store["status"], store["name"], store["file_counts"]["total"]) == ("completed", None, 0)
    assert _search(api, store["id"], "thread") == []


def test_the_best_comes_first_and_filters_narrow(api: Api) -> None:
    store = api.store()
    for number, data in enumerate((MAZE, BREAD)):
        body = {"file_id": _file(api, data, f"{number}.md"), "attributes": {"number": number, "old": False}}
        api.post(f"/vector_stores/{store}/files", body)
    api.wait_for_store(store)
    assert [each["filename"] for each in _search(api, store, "bake bread in the oven")] == ["1.md", "0.md"]
    assert [each["filename"] for each in _search(api, store, "a ball of thread")] == ["0.md", "1.md"]
    assert len(_search(api, store, "thread", max_num_results=1)) == 1
    narrow = {"type": "eq", "key": "number", "value": 1}
    (only,) = _search(api, store, "a ball of thread", filters=narrow)
    assert (only["filename"], only["attributes"]) == ("1.md", {"number": 1, "old": False})
    both = {"type": "and", "filters": [narrow, {"type": "ne", "key": "old", "value": False}]}
    assert _search(api, store, "a ball of thread", filters=both) == []
    scores = [each["score"] for each in _search(api, store, "a ball of thread")]
    assert scores == sorted(scores, reverse=True)
    sharp = _search(api, store, "a ball of thread", ranking_options={"score_threshold": scores[0] - 0.001})
    assert [each["filename"] for each in sharp] == ["0.md"]


@pytest.mark.parametrize(
    "query", ['"', "NEAR(", "*", "AND OR NOT", "''", "?!", "\U0001f9f6", "'; DROP TABLE chunks", "a:b^2"]
)
def test_a_query_may_be_anything(api: Api, query: str) -> None:
    store = api.store(_file(api))
    assert len(_search(api, store, query)) <= 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "ranking_options": {"score_threshold": 2}}, "ranking_options.score_threshold"),
        ({"query": "x", "filters": {"type": "like", "key": "a", "value": 1}}, "filters.type"),
        ({"query": "x", "filters": {"type": "gt", "key": "a", "value": "b"}}, "filters.value"),
        ({"query": "x", "surprise": 1}, "surprise"),
    ],
)
def test_a_search_that_can_not_be_is_refused(api: Api, body: Json, param: str) -> None:
    error = api.refused(400, "POST", f"/vector_stores/{api.store()}/search", body)
    assert error["param"] == param


def test_a_filter_too_deep_is_refused(api: Api) -> None:
    deep: Json = {"type": "eq", "key": "a", "value": 1}
    for _ in range(9):
        deep = {"type": "and", "filters": [deep]}
    error = api.refused(400, "POST", f"/vector_stores/{api.store()}/search", {"query": "x", "filters": deep})
    assert error["param"] == "filters"


def test_one_bad_file_fails_alone_and_says_why(api: Api) -> None:
    good, bad, odd = _file(api), _file(api, b"%PDF-nonsense", "bad.pdf"), _file(api, b"MZ", "program.exe")
    batch = api.post(f"/vector_stores/{api.store()}/file_batches", {"file_ids": [good, bad, odd]})
    assert batch["object"] == "vector_store.files_batch"
    assert batch["id"].startswith("vsfb_")
    store, path = (
        batch["vector_store_id"],
        f"/vector_stores/{batch['vector_store_id']}/file_batches/{batch['id']}",
    )
    done = api.wait_for_store(store)
    assert (done["status"], done["file_counts"]["failed"]) == ("completed", 2)
    counts = {"in_progress": 0, "completed": 1, "failed": 2, "cancelled": 0, "total": 3}
    assert api.get(path) | {"created_at": 0} == batch | {
        "created_at": 0,
        "status": "completed",
        "file_counts": counts,
    }
    errors = {
        each["id"]: each["last_error"]
        for each in api.get(f"{path}/files", filter="failed", order="asc")["data"]
    }
    assert errors[bad]["code"] == "invalid_file"
    assert errors[odd]["code"] == "unsupported_file"
    assert ".exe" in errors[odd]["message"]
    assert [each["id"] for each in api.get(f"{path}/files", filter="completed")["data"]] == [good]
    assert _search(api, store, "thread")[0]["file_id"] == good
    api.refused(400, "POST", f"{path}/cancel")
    assert api.at("/api/projects/alpha").get(path)["object"] == "vector_store.file_batch"


def test_a_batch_whose_files_all_fail_has_failed(api: Api) -> None:
    store = api.store()
    batch = api.post(
        f"/vector_stores/{store}/file_batches", {"files": [{"file_id": _file(api, b"MZ", "program.exe")}]}
    )
    api.wait_for_store(store)
    assert api.get(f"/vector_stores/{store}/file_batches/{batch['id']}")["status"] == "failed"


def test_a_file_can_be_cut_otherwise_and_read_anew(api: Api) -> None:
    words = " ".join(f"word{number}" for number in range(700)).encode()
    file, store = _file(api, words), api.store()
    for size, overlap, least in ((800, 400, 2), (100, 50, 20)):
        static = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
        body = {"file_id": file, "chunking_strategy": {"type": "static", "static": static}}
        assert api.post(f"/vector_stores/{store}/files", body)["status"] == "in_progress"
        done = api.wait_for_store(store)
        assert done["file_counts"]["total"] == 1
        content = api.get(f"/vector_stores/{store}/files/{file}/content")["data"]
        assert len(content) >= least
        assert [each["chunk"] for each in content] == list(range(len(content)))


@pytest.mark.parametrize(
    ("size", "overlap", "param"),
    [
        (99, 0, "max_chunk_size_tokens"),
        (4097, 0, "max_chunk_size_tokens"),
        (800, 401, "chunk_overlap_tokens"),
        (800, -1, "chunk_overlap_tokens"),
    ],
)
def test_chunks_have_limits(api: Api, size: int, overlap: int, param: str) -> None:
    static = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    body = {"file_ids": [_file(api)], "chunking_strategy": {"type": "static", "static": static}}
    error = api.refused(400, "POST", "/vector_stores", body)
    assert error["param"] == f"chunking_strategy.static.{param}"


def test_what_is_not_there_is_said(api: Api) -> None:
    store = api.store()
    error = api.refused(404, "POST", "/vector_stores", {"file_ids": ["file-x"]})
    assert error["message"] == "No such File object: file-x"
    api.refused(404, "POST", f"/vector_stores/{store}/files", {"file_id": "file-x"})
    error = api.refused(404, "GET", f"/vector_stores/{store}/files/file-x")
    assert error["message"] == "No file found with id 'file-x'."
    error = api.refused(404, "GET", "/vector_stores/vs_x")
    assert error["message"] == "No vector store found with id 'vs_x'."
    assert len(api.get("/vector_stores", limit=100)["data"]) >= 1
    for body in ({"configuration": {"data_sources": [{"uri": "x"}]}}, {"file_ids": ["a"] * 10_001}):
        api.refused(400, "POST", "/vector_stores", body)


def test_a_file_that_is_deleted_or_taken_out_is_found_no_more(api: Api) -> None:
    maze, bread = _file(api), _file(api, BREAD, "bread.txt")
    store, other = api.store(maze, bread), api.store(maze)
    before = api.get(f"/vector_stores/{store}")["usage_bytes"]
    assert api.delete(f"/vector_stores/{store}/files/{bread}") == {
        "id": bread,
        "object": "vector_store.file.deleted",
        "deleted": True,
    }
    assert [each["file_id"] for each in _search(api, store, "bread")] == [maze]
    assert 0 < api.get(f"/vector_stores/{store}")["usage_bytes"] < before
    api.get(f"/files/{bread}")
    api.delete(f"/files/{maze}")
    for each in (store, other):
        assert _search(api, each, "thread") == []
        left = api.get(f"/vector_stores/{each}")
        assert (left["file_counts"]["total"], left["usage_bytes"]) == (0, 0)
    api.refused(404, "GET", f"/vector_stores/{store}/files/{maze}")


def test_a_store_is_changed_and_deleted(api: Api) -> None:
    file = _file(api)
    store = api.store(file, name="one")
    changed = api.post(f"/vector_stores/{store}", {"name": "two", "metadata": {"c": "d"}})
    assert (changed["name"], changed["metadata"]) == ("two", {"c": "d"})
    path = f"/vector_stores/{store}/files/{file}"
    assert api.post(path, {"attributes": {"kind": "myth"}})["attributes"] == {"kind": "myth"}
    myths = {"type": "eq", "key": "kind", "value": "myth"}
    assert len(_search(api, store, "thread", filters=myths)) == 1
    assert api.post(path, {"attributes": {}})["attributes"] == {}
    assert _search(api, store, "thread", filters=myths) == []
    assert api.delete(f"/vector_stores/{store}")["object"] == "vector_store.deleted"
    api.refused(404, "GET", f"/vector_stores/{store}")
    api.refused(404, "GET", path)
    api.get(f"/files/{file}")


def test_what_was_read_is_deleted_bit_by_bit(servers: Servers) -> None:
    from tests.support.database import dump

    with servers.start() as api:
        file = _file(api, b"\n".join(b"word%d" % number for number in range(20_000)))
        static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
        store = api.store(file, chunking_strategy={"type": "static", "static": static})
        assert len(dump(servers.place)["chunks"]) > 200
        api.delete(f"/vector_stores/{store}")
        until(lambda: not dump(servers.place)["chunks"] and not dump(servers.place)["vectors"])
        until(lambda: "purge" not in str(dump(servers.place)["due_work"]))


def test_a_store_expires_after_its_last_use(servers: Servers) -> None:
    with servers.start() as api:
        file = _file(api)
        store = api.store(file, expires_after={"anchor": "last_active_at", "days": 2})
        made = api.get(f"/vector_stores/{store}")
        assert made["expires_at"] == made["last_active_at"] + 2 * 24 * 3600
        servers.clock.advance(DAY)
        assert len(_search(api, store, "thread")) == 1
        used = api.get(f"/vector_stores/{store}")
        assert used["last_active_at"] == servers.clock.seconds
        servers.clock.advance(2 * DAY)
        assert api.get(f"/vector_stores/{store}")["status"] == "expired"
        error = api.refused(400, "POST", f"/vector_stores/{store}/search", {"query": "thread"})
        assert error["code"] == "vector_store_expired"
        api.refused(400, "POST", f"/vector_stores/{store}/files", {"file_id": file})


def test_a_restart_goes_on_with_what_was_being_read(servers: Servers) -> None:
    with servers.start(works=False) as api:
        store = api.post("/vector_stores", {"file_ids": [_file(api), _file(api, BREAD)]})["id"]
    with servers.start() as api:
        assert api.wait_for_store(store)["file_counts"]["completed"] == 2
        assert len(_search(api, store, "thread")) == 2


def test_another_projects_same_text_is_never_found(api: Api, other: Api) -> None:
    mine, hers = api.store(_file(api)), other.store(_file(other))
    found = _search(api, mine, "thread")[0]
    assert found["file_id"] in {each["id"] for each in api.get("/files")["data"]}
    api.refused(404, "POST", f"/vector_stores/{hers}/search", {"query": "thread"})
    hers_file = other.get("/files")["data"][0]["id"]
    api.refused(404, "POST", f"/vector_stores/{mine}/files", {"file_id": hers_file})


def test_vectors_come_from_the_endpoint_and_words_are_found_without_it(
    api: Api, model: ScriptedModel
) -> None:
    store = api.store(_file(api))
    assert _search(api, store, "labyrinth thread")
    model.fail_embeddings(400)
    (found,) = _search(api, store, "thread")
    assert found["content"][0]["text"] == MAZE.decode()
    refused = api.refused(503, "POST", f"/vector_stores/{store}/search", {"query": "labyrinth"})
    assert refused["type"] == "server_error"


def test_an_endpoint_that_fails_in_the_middle_of_a_file_is_not_asked_for_ever(
    servers: Servers, model: ScriptedModel
) -> None:
    with servers.start() as api:
        model.fail_embeddings(naming="word2999")
        words = "\n".join(f"word{number}" for number in range(3_000)).encode()
        static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
        chunking = {"type": "static", "static": static}
        store = api.post("/vector_stores", {"file_ids": [_file(api, words)], "chunking_strategy": chunking})

        def failed() -> bool:
            servers.clock.advance(30_000)
            counts = api.get(f"/vector_stores/{store['id']}")["file_counts"]
            return bool(counts["failed"])

        until(failed)


@pytest.mark.parametrize("how", ["file", "put again", "whole file"])
def test_a_batch_ends_whose_files_are_taken_out(servers: Servers, model: ScriptedModel, how: str) -> None:
    with servers.start() as api:
        held = model.hold_embeddings()
        file, store = _file(api), api.post("/vector_stores", {})["id"]
        path = f"/vector_stores/{store}/file_batches"
        batch = api.post(path, {"file_ids": [file]})["id"]
        assert api.get(f"{path}/{batch}")["status"] == "in_progress"
        if how == "file":
            api.delete(f"/vector_stores/{store}/files/{file}")
        elif how == "put again":
            api.post(f"/vector_stores/{store}/files", {"file_id": file})
        else:
            api.delete(f"/files/{file}")
        assert api.get(f"{path}/{batch}")["status"] == "completed"
        held.release()


def test_what_is_in_a_store_is_put_there_again_however_full_it_is(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.service.vector_stores.MOST_FILES", 2)
    maze, bread = _file(api), _file(api, BREAD, "bread.txt")
    store = api.store(maze, bread)
    api.post(f"/vector_stores/{store}/files", {"file_id": maze})
    api.refused(400, "POST", f"/vector_stores/{store}/files", {"file_id": _file(api)})
    assert api.wait_for_store(store)["file_counts"]["total"] == 2
