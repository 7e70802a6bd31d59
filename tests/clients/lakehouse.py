"""A small HTTP client of a running Lakehouse, on nothing but the standard library."""

import json
import urllib.error
import urllib.parse
import urllib.request


class Lakehouse:
    """Talks to the server at `base`, e.g. `http://127.0.0.1:3210`."""

    def __init__(self, base):
        self.base = base.rstrip("/")

    def request(self, method, path, body=None, headers=None):
        """Sends one request; an error answer raises with the server's own words."""
        request = urllib.request.Request(
            self.base + path, data=body, method=method, headers=headers or {}
        )
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def ingest(self, table, file, form, **options):
        """Posts a local file as the rows of a table."""
        query = urllib.parse.urlencode({"table": table, "format": form, **options})
        with open(file, "rb") as body:
            data = body.read()
        return json.loads(self.request("POST", f"/v1/ingest?{query}", data))

    def sql(self, statement, accept):
        """Runs a statement and returns the answer's bytes in the format asked for."""
        return self.request(
            "POST",
            "/v1/sql",
            statement.encode(),
            {"content-type": "text/plain", "accept": accept},
        )

    def table(self, namespace, name):
        """What the catalog says of a table."""
        return json.loads(self.request("GET", f"/v1/catalog/tables/{namespace}/{name}"))
