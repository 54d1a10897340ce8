"""One client's connection, and how an answer leaves by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

from agent.web.webhook_answer import Answer


class Request(HTTPRequestParser):
    """A request; `given` is the answer that it has already, with what every answer says."""

    given: tuple[Answer, Iterable[tuple[str, str]]] | None = None

    #: The stubs leave it out.
    path: str

    def posted(self) -> bytes:
        """Its body, which may be read once more."""
        stream = self.get_body_stream()
        body = stream.read()
        stream.seek(0)
        return body


class Task(WSGITask):
    """An answer; in one piece it leaves in one packet with its head."""

    request: Request  # type: ignore[assignment] # the stubs name another class

    def execute(self) -> None:
        """Write the answer that there is already, or ask the application for one."""
        given = self.request.given
        if given is None:
            super().execute()
            return
        answer, always = given
        body = answer.text()
        self.status = answer.status_line
        self.response_headers = [*answer.headers, *always]
        self.content_length = len(body)
        self.complete = True
        self.write(body)

    def write(self, data: bytes) -> None:
        """As waitress does, but for an answer whose size is known and that comes whole."""
        if self.wrote_header or not data or len(data) != self.content_length or not self.has_body:
            super().write(data)
            return
        self.channel.write_soon(self.build_response_header() + data)
        self.wrote_header = True
        self.content_bytes_written = len(data)


class Channel(HTTPChannel):
    """A connection; its answers leave as a task of ours sends them, and the lookout knows who is at work."""

    task_class = Task
    parser_class = Request
    requests: Sequence[Request]

    def service(self) -> None:
        """Answer the first request."""
        self._map.at_work(self._fileno)  # type: ignore[attr-defined]
        super().service()

    def answer(self, answer: Answer, always: Iterable[tuple[str, str]]) -> None:
        """Answer the first request with this."""
        # with the request, not here: before this returns, another thread may be at the next request
        self.requests[0].given = (answer, always)
        self.service()
