"""Passages in an index of OpenSearch, or of Elasticsearch, found by its `_search`.

A document has its passage in the field `text`; its id is the passage's. A name and a password for the server stand in
~/.netrc, under the host's name.
"""

import netrc
from typing import Any
from urllib.parse import urlsplit

import httpx2

from selfreward.databases.base import MOST_WORDS, words
from selfreward.errors import BadInput, StageFailed
from selfreward.records import Passage
from selfreward.text import whole

CONNECT_S, SEARCH_S = 10.0, 60.0
MOST_SHOWN = 200  # characters of a server's message


class OpenSearchDatabase:
    """One client of an index, whose URL is https://HOST/INDEX."""

    digest = None

    def __init__(self, url: str) -> None:
        """BadInput where no such index answers."""
        self._url, parts = url.rstrip("/"), urlsplit(url)
        if not parts.path.strip("/"):
            raise BadInput("names no index", url, "write https://HOST/INDEX")
        timeout = httpx2.Timeout(SEARCH_S, connect=CONNECT_S)
        self._client = httpx2.Client(timeout=timeout, auth=_credentials(parts.hostname or ""))
        try:
            self._hits({"size": 0})
        except ValueError as fault:
            self.close()
            raise BadInput(
                f"cannot be opened: {fault}", self._url, "start the server, or mend judge.database"
            ) from None

    def search(self, query: str, limit: int) -> list[Passage]:
        """See `Database`."""
        asked = " ".join(words(query)[:MOST_WORDS])
        if not asked:
            return []
        try:
            hits = self._hits({"size": limit, "query": {"match": {"text": asked}}, "_source": ["text"]})
            return [Passage(id=whole(str(hit["_id"])), text=whole(str(hit["_source"]["text"]))) for hit in hits]
        except (ValueError, KeyError, TypeError) as fault:
            todo = "see that the server runs and its documents have a `text`, then run again to go on"
            raise StageFailed(f"cannot be searched: {fault}", self._url, todo) from None

    def close(self) -> None:
        """See `Database`."""
        self._client.close()

    def _hits(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """What a search finds, the best first; ValueError with the reason where the server does not say."""
        try:
            answer = self._client.post(f"{self._url}/_search", json=body)
            found = answer.json() if answer.is_success else None
            if found is not None:
                return list(found["hits"]["hits"])
        except httpx2.HTTPError as error:
            raise ValueError(f"no answer, {type(error).__name__} {error}".strip()) from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"answered {answer.status_code} with something other than hits") from None
        raise ValueError(f"answered {answer.status_code}: {' '.join(answer.text.split())[:MOST_SHOWN]}")


def _credentials(host: str) -> tuple[str, str] | None:
    """Name and password for a host in ~/.netrc; None where it names none."""
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None
