"""Databases of passages, in which a judge looks things up: `sqlite` and `tantivy` are files that `building` makes of texts
(`reading`), `postgres` and `opensearch` are servers, `almanac` is the micro-world's own. All are asked in one way (`base`).
"""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from selfreward.databases.base import Database
from selfreward.errors import BadInput, nearest

MICRO = "micro"  # the almanac of the embedded default, as `seeds.source: micro` is its people
SERVERS = ("postgresql", "postgres", "http", "https")


def open_database(where: str | Path) -> Database:
    """The database at a path, at the URL of a server, or `micro`; close it when done.

    BadInput where there is none, where it cannot be opened, and for a URL that holds a password.
    """
    text = str(where)
    if text == MICRO:
        from selfreward.databases.almanac import open_almanac

        return open_almanac()
    if "://" in text:
        return _server(text)
    path = Path(os.path.expanduser(text))
    if path.is_dir():
        from selfreward.databases.tantivy import TantivyDatabase

        return TantivyDatabase(path)
    if path.is_file():
        from selfreward.databases.sqlite import open_sqlite

        return open_sqlite(path)
    raise BadInput("no such database", text, f"make one with: selfreward index FOLDER --to {text}")


def _server(url: str) -> Database:
    """The database that a URL names."""
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError as error:
        todo = "write postgresql://host/name or https://host/index"
        raise BadInput(f"not a URL: {error}", "database", todo) from None
    if parts.scheme not in SERVERS:
        raise BadInput("no server of passages has such a URL", f"{parts.scheme}://", nearest(parts.scheme, SERVERS))
    if secret:
        what = "the URL holds a password, which would stand in recipes and records"
        todo = "leave it out: that of Postgres is read from ~/.pgpass, that of OpenSearch from ~/.netrc"
        raise BadInput(what, parts.hostname or "database", todo)
    if parts.scheme.startswith("http"):
        from selfreward.databases.opensearch import OpenSearchDatabase

        return OpenSearchDatabase(url)
    from selfreward.databases.postgres import PostgresDatabase

    return PostgresDatabase(url)
