"""What measures how well files are found measures right."""

import asyncio
import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.collection import own, read
from bench.retrieval import measure, ndcg
from clew.clock import SystemClock
from clew.search.embedded_embedder import EmbeddedEmbedder
from tests.support.weights import real_minilm


def test_ndcg_is_that_of_its_definition() -> None:
    grades = {"a": 3, "b": 2, "c": 0}
    assert ndcg(["a", "b"], grades) == 1
    assert ndcg(["b", "a"], grades) == pytest.approx((2 + 3 / math.log2(3)) / (3 + 2 / math.log2(3)))
    assert ndcg(["c", "x", "a"], grades) == pytest.approx((3 / 2) / (3 + 2 / math.log2(3)))
    assert ndcg(["x"] * 10 + ["a"], grades) == 0
    assert ndcg(["a"], {"a": -1}) == 0


class _Letters:
    """Embeds a text as the letters in it: near is what has the same."""

    name, window_tokens = "letters", 256

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [struct.pack("<26e", *(text.lower().count(chr(97 + n)) for n in range(26))) for text in texts]

    async def close(self) -> None: ...


def test_a_collection_is_measured_in_all_three_ways(tmp_path: Path) -> None:
    documents = {"1": "zebra crossing", "2": "apple tree", "3": "boat house"}
    rows = [{"_id": name, "title": "", "text": text} for name, text in documents.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    queries = [
        {"_id": "q", "text": "apples"},
        {"_id": "unjudged", "text": "boat"},
        {"_id": "n", "text": "aob"},
    ]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels/test.tsv").write_text("query\tdocument\tgrade\nq\t2\t1\nn\t3\t1\n", encoding="utf-8")
    collection = read(tmp_path)
    assert list(collection.queries) == ["q", "n"]
    # Only letters find the second.
    assert asyncio.run(measure(collection, _Letters())) == {"full text": 0.5, "vectors": 1, "both": 1}
    assert asyncio.run(measure(collection, None)) == {"full text": 0.5}


def test_collections_as_cranfield_and_cisi_are_handed_on(tmp_path: Path) -> None:
    (tmp_path / "cran.all.1400").write_text(
        ".I 1\n.T\nboundary layer\n.A\nsmith\n.W\nflow over\na plate\n.I 2\n.T\nwings\n.W\n", encoding="utf-8"
    )
    (tmp_path / "cran.qry").write_text(
        ".I 001\n.W\nplates\n.I 004\n.W\nwhich wings\n.I 9\n.W\nnone", encoding="utf-8"
    )
    (tmp_path / "cranqrel").write_text("1 1 2\n1 2 -1\n2 2 4\n", encoding="utf-8")
    collection = read(tmp_path)
    assert collection.documents == {"1": "boundary layer\nflow over\na plate", "2": "wings"}
    assert collection.queries == {"1": "plates", "2": "which wings"}
    assert collection.grades == {"1": {"1": 1, "2": 0}, "2": {"2": 1}}
    assert list(read(tmp_path, documents=1, queries=1).queries) == ["1"]


@pytest.mark.model
def test_vectors_and_words_together_find_more_than_either_alone() -> None:
    """The floor of our own passages: names and numbers are for words, other wordings for vectors."""
    embedder = EmbeddedEmbedder(real_minilm(), SystemClock())

    async def figures() -> dict[str, float]:
        try:
            return await measure(own("English"), embedder)
        finally:
            await embedder.close()

    found = asyncio.run(figures())
    assert found["both"] >= 0.86
    assert found["both"] > found["vectors"] >= 0.84
    assert found["both"] > found["full text"] >= 0.58
