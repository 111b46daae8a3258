"""Search by tantivy, for large shops: the extra `web-search`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import tantivy

from cmat_env.envs.web.search.engine import Document

_KEPT = 4_096
_SLACK = 64


class TantivyEngine:
    """An index in memory. Terms are lower-case letters and digits, among which tantivy has no operator."""

    def __init__(self, documents: Sequence[Document]) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("name", stored=True, tokenizer_name="raw")
        builder.add_text_field("body", stored=False, tokenizer_name="en_stem")
        self._schema = builder.build()
        index = tantivy.Index(self._schema)
        # One thread and one commit: segments, and with them the ties of equal scores, are the same every time.
        writer = index.writer(heap_size=256_000_000, num_threads=1)
        for name, text in sorted(documents):
            writer.add_document(tantivy.Document(name=name, body=text))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._index = index
        self.search = lru_cache(maxsize=_KEPT)(self._search)

    def _search(self, terms: tuple[str, ...], limit: int) -> tuple[str, ...]:
        if not terms or limit < 1:
            return ()
        query = self._index.parse_query(" ".join(terms), ["body"])
        searcher = self._index.searcher()
        hits = searcher.search(query, limit + _SLACK).hits
        ranked = sorted((-round(score, 5), searcher.doc(address)["name"][0]) for score, address in hits)
        return tuple(name for _, name in ranked[:limit])

    def close(self) -> None:
        """Forget the index."""
        self.search.cache_clear()
