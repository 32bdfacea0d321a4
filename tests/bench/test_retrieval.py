"""What measures how well files are found measures right."""

import asyncio
import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.retrieval import measure, ndcg, read


def test_ndcg_is_that_of_its_definition() -> None:
    grades = {"a": 3, "b": 2, "c": 0}
    assert ndcg(["a", "b"], grades) == 1
    assert ndcg(["b", "a"], grades) == pytest.approx((2 + 3 / math.log2(3)) / (3 + 2 / math.log2(3)))
    assert ndcg(["c", "x", "a"], grades) == pytest.approx((3 / 2) / (3 + 2 / math.log2(3)))
    assert ndcg(["x"] * 10 + ["a"], grades) == 0
    assert ndcg(["a"], {"a": -1}) == 0


class _Letters:
    """Embeds a text as the letters in it: near is what has the same."""

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return [struct.pack("<26e", *(text.lower().count(chr(97 + n)) for n in range(26))) for text in texts]


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
