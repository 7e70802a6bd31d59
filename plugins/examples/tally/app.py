"""A plugin in Python: `POST /v1/tally` counts the words of a text."""

import json
from collections import Counter

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import log
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    Method_Post,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

# How much of a body is read at once, in bytes.
CHUNK = 64 * 1024
# The host takes so many bytes of an answer at once.
WRITE = 4096


class IncomingHandler(exports.IncomingHandler):
    """Answers requests; an instance answers many, one after the other."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        if not isinstance(request.method(), Method_Post):
            refuse(response_out, 405, "Method Not Allowed", "POST a text", [("allow", b"POST")])
            return
        try:
            text = body(request).decode()
        except UnicodeDecodeError as error:
            refuse(response_out, 400, "Bad Request", f"the text is not UTF-8: {error}", [])
            return
        words = Counter(text.lower().split())
        log.write(log.Level.INFO, "counted", [("words", str(words.total()))])
        answer(response_out, 200, dict(words.most_common()[:10]), [])


def refuse(
    response_out: ResponseOutparam,
    status: int,
    title: str,
    detail: str,
    headers: list[tuple[str, bytes]],
) -> None:
    """Answers with a problem of RFC 9457."""
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    answer(response_out, status, problem, headers)


def body(request: IncomingRequest) -> bytes:
    """The whole body of a request; the host has a limit for it."""
    chunks = []
    with request.consume() as incoming, incoming.stream() as stream:
        while True:
            try:
                chunks.append(stream.blocking_read(CHUNK))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return b"".join(chunks)
                raise


def answer(
    response_out: ResponseOutparam,
    status: int,
    value: object,
    headers: list[tuple[str, bytes]],
) -> None:
    """Answers with a value as JSON."""
    media = b"application/json" if status == 200 else b"application/problem+json"
    response = OutgoingResponse(Fields.from_list([("content-type", media), *headers]))
    response.set_status_code(status)
    outgoing = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    content = json.dumps(value).encode()
    with outgoing.write() as stream:
        for at in range(0, len(content), WRITE):
            stream.blocking_write_and_flush(content[at : at + WRITE])
    OutgoingBody.finish(outgoing, None)
