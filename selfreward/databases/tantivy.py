"""Passages in a folder of tantivy's, a search library in Rust: the extra `tantivy`. Ranked by BM25 over all words.

It skips passages that cannot be among the best, so that frequent words cost it little.
"""

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from selfreward.databases.base import MOST_WORDS, words
from selfreward.errors import BadInput, StageFailed
from selfreward.records import Passage
from selfreward.store import read_json, saving, write_json

ABOUT_FILE = "passages.json"  # beside tantivy's own files
HEAP_BYTES = 128 * 2**20  # of passages that are not on the disk yet
LONGEST_WORD = 40  # bytes; tantivy leaves longer ones out


class TantivyDatabase:
    """A folder made by `write_tantivy`, opened for reading."""

    def __init__(self, path: Path) -> None:
        """BadInput where the folder is no database of passages, and where tantivy is not installed."""
        self._path = path
        if not (path / ABOUT_FILE).is_file():
            raise BadInput("not a database of passages", path, "make one with: selfreward index FOLDER --to FILE")
        self.digest = str(read_json(path / ABOUT_FILE).get("digest"))
        _require()
        import tantivy

        try:
            self._index = tantivy.Index.open(str(path))
            self._searcher = self._index.searcher()
        except (ValueError, OSError) as error:
            raise BadInput(f"cannot be opened as a database: {error}", path, "make it again") from None

    def search(self, query: str, limit: int) -> list[Passage]:
        """See `Database`."""
        from tantivy import Occur, Query

        asked = [word for word in words(query) if len(word.encode()) < LONGEST_WORD][:MOST_WORDS]
        if not asked:
            return []
        try:
            wanted = [(Occur.Should, Query.term_query(self._index.schema, "text", word)) for word in asked]
            hits = self._searcher.search(Query.boolean_query(wanted), limit).hits
            found = [self._searcher.doc(address) for _, address in hits]
        except (ValueError, OSError) as error:
            raise StageFailed(f"cannot be searched: {error}", self._path, "make the database again") from None
        return [Passage(id=one.get_first("source"), text=one.get_first("text")) for one in found]

    def close(self) -> None:
        """See `Database`; tantivy frees its files by itself."""


def write_tantivy(path: Path, passages: Iterable[Passage]) -> None:
    """Writes passages into a new folder, which appears when it is whole.

    BadInput where tantivy is not installed, StageFailed where the disk does not take it.
    """
    _require()
    import tantivy

    fields = tantivy.SchemaBuilder().add_text_field("source", stored=True, tokenizer_name="raw")
    schema = fields.add_text_field("text", stored=True).build()
    digest = hashlib.sha256()
    with saving(path) as unfinished:
        writer = tantivy.Index(schema, path=str(unfinished)).writer(HEAP_BYTES, 1)
        try:
            for passage in passages:
                writer.add_document(tantivy.Document(source=passage.id, text=passage.text))
                digest.update(passage.model_dump_json().encode())
            writer.commit()
            writer.wait_merging_threads()
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            raise StageFailed(f"cannot be written: {error}", path, "make room, and run again") from error
        write_json(unfinished / ABOUT_FILE, {"digest": digest.hexdigest()})


def _require() -> None:
    if find_spec("tantivy") is None:
        raise BadInput("needs tantivy, which is not installed", "tantivy", "pip install 'selfreward[tantivy]'")
