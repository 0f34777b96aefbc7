"""A real HTTP server that speaks as much of OpenAI's protocol as the pipeline needs, and misbehaves on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from curation.llm.prompts import load_prompts
from curation.records import ExtractedReport, Phrase, RewrittenReport, SplitReport
from curation.schema import REGIONS
from curation.steps import categorize, extract, rewrite


@dataclass
class Reply:
    """What the server sends."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def completion(text: str, *, reason: str = "stop", **message: Any) -> dict[str, Any]:
    """Return a chat completion that says `text`; 100 tokens in, 50 out."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
    }


def right_answer(body: dict[str, Any]) -> str:
    """Do the step that the system message asks for with the offline rules, in the form that the prompts describe."""
    system, content = body["messages"][0]["content"], json.loads(body["messages"][1]["content"])
    prompts = load_prompts().texts
    if system == prompts["rewrite"]:
        coded = {code: text for code, text in content.items() if code not in {"Findings", "Impressions"}}
        done = rewrite.rewrite(SplitReport.from_coded("x", coded)).model_dump(mode="json")
        findings = {name: done["regions"][letter] for name, letter in REGIONS.items()}
        return json.dumps({"Findings": findings, "Impressions": done["impressions"], "Dropped": done["dropped"]})
    if system == prompts["extract"]:
        phrases = extract.extract(RewrittenReport.from_coded("x", content)).model_dump(mode="json")["phrases"]
        letter = {True: "Y", False: "N"}
        rows = [p | {"abnormal": letter[p["abnormal"]], "prior": letter[p["prior"]]} for p in phrases]
        return json.dumps({"phrases": rows})
    findings = tuple(Phrase(text=text, codes=("L0",), abnormal=True, prior=False) for text in content.values())
    return json.dumps(categorize.categorize(ExtractedReport(id="x", phrases=findings)).to_paper_form())


@dataclass
class Server:
    """The server's side: what it was asked, and how it answers."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)  #: bodies of chat completions, in order
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)  #: bodies whose right answer was sent to its end
    faults: list[Reply | Callable[[dict[str, Any]], Reply]] = field(default_factory=list)  #: sent first, in order
    delay: float = 0.0
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: int = 0  #: how often a batch was looked at
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, status: int, *, code: str = "", times: int = 1, **headers: str) -> None:
        """Answer the next requests with an error."""
        body = {"error": {"message": "no", "code": code}}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults += [Reply(body, status, named)] * times

    def say(self, text: str, *, times: int = 1, delay: float = 0.0, **message: Any) -> None:
        """Answer the next requests with this text."""
        self.faults += [Reply(completion(text, **message), delay=delay)] * times

    def leave_out(self, *, times: int = 1) -> None:
        """Say nothing of the next requests of a batch."""
        self.faults += [Reply({}, status=0)] * times

    def alter(self, change: Callable[[str], str], *, reason: str = "stop") -> None:
        """Answer the next request with the right answer, altered."""
        self.faults.append(lambda body: Reply(completion(change(right_answer(body)), reason=reason)))

    def reply(self, body: dict[str, Any]) -> Reply:
        """Answer one chat completion."""
        with self.lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            fault = self.faults.pop(0) if self.faults else None
        if callable(fault):
            return fault(body)
        return fault or Reply(completion(right_answer(body)), delay=self.delay)

    def run_batch(self, id_: str) -> None:
        """Do all requests of a batch."""
        batch = self.batches[id_]
        rows = []
        for line in self.files[batch["input_file_id"]].splitlines():
            row = json.loads(line)
            reply = self.reply(row["body"])
            response = {"status_code": reply.status, "body": reply.body}
            if reply.status:
                rows.append({"custom_id": row["custom_id"], "response": response, "error": None})
        self.files[f"out-{id_}"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        batch |= {"status": "completed", "output_file_id": f"out-{id_}"}


def described(name: str) -> dict[str, Any]:
    """Return what the server says of an uploaded file."""
    return {
        "id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "r", "purpose": "batch",
        "status": "processed",
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for the server's state."""

    disable_nagle_algorithm = True  # or a client waits 40 ms for what follows the headers

    state: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def send(self, reply: Reply) -> None:
        time.sleep(reply.delay)
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError:
            self.close_connection = True  # the other side was killed, or did not want to wait
            raise ConnectionAbortedError from None

    def do_GET(self) -> None:
        path = self.path.split("?")[0].removeprefix("/v1").removeprefix("/openai")
        parts = path.strip("/").split("/")
        if parts[0] == "files" and parts[-1] != "content":
            self.state.paths.append(self.path)
            self.send(Reply(described(parts[1])))
        elif parts[0] == "files":
            self.send(Reply(self.state.files[parts[1]]))
        elif len(parts) == 1:
            self.send(Reply({"object": "list", "data": list(self.state.batches.values()), "has_more": False}))
        else:
            self.state.looks += 1
            if self.state.looks % 2 == 0:
                self.state.run_batch(parts[1])
            self.send(Reply(self.state.batches[parts[1]]))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        path = self.path.partition("?")[0]
        if path.endswith("/files"):
            name = f"file-{len(self.state.files)}"
            self.state.files[name] = (
                raw.split(b"\r\n\r\n")[-1 if b'name="file"' in raw.split(b"\r\n\r\n")[-2] else 1]
                .split(b"\r\n--")[0]
                .decode()
            )
            self.send(Reply(described(name)))
        elif path.endswith("/batches"):
            wanted = json.loads(raw)
            name = f"batch-{len(self.state.batches)}"
            self.state.batches[name] = {
                "id": name, "object": "batch", "status": "in_progress", "created_at": 0,
                "completion_window": "24h", "endpoint": "/v1/chat/completions", **wanted,
            }  # fmt: skip
            self.send(Reply(self.state.batches[name]))
        else:
            self.state.paths.append(self.path)
            body = json.loads(raw)
            reply = self.state.reply(body)
            try:
                self.send(reply)
            except ConnectionAbortedError:
                return
            if reply.status == 200:
                self.state.answered.append(json.dumps(body, sort_keys=True))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start the server on a free port of this machine."""
    state = Server()

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    http = Quiet(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


ASKED = 8  # three reports, three steps, and one report without anything abnormal to categorise


@pytest.fixture
def run(server: Any, three_reports: Path, tmp_path: Path, bench: Any) -> Any:
    """Run the pipeline on three reports with the server's model."""

    def call(*options: object) -> Any:
        out = ("--out", tmp_path / "out", "--llm", "m", "--base-url", server.url)
        return bench("run", three_reports, *out, "--jobs", 1, *options, "--json")

    return call


def document(result: Any) -> dict[str, Any]:
    """Return the JSON of a run that ended well."""
    assert result.exit_code == 0, result.output + repr(result.exception)
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed
