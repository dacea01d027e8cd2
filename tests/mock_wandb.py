"""A stand-in for the W&B server on loopback: as much of its interface as wandb needs to upload runs.

It keeps what a server would keep of every run. History rows are addressed by line, so that what is sent twice is there
once only if the client says that it is the same line.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Run:
    """One run as the server knows it."""

    about: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None


class MockWandb:
    """The server's memory.

    Attributes:
        runs: by id.
        takes_files: false where the server is to fail at every upload of a file.
        sweep: what `wandb sweep` has sent, the text of a YAML.
        jobs: the settings of each run that the sweep's agents have still to start.
        received: every request's body, as it came.
        views: reports and workspaces that were saved.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.takes_files = True
        self.sweep = ""
        self.jobs: list[dict[str, Any]] = []
        self.received: list[bytes] = []
        self.views: list[dict[str, Any]] = []
        self.url = ""
        self._lock = threading.Lock()

    @property
    def env(self) -> dict[str, str]:
        """What to put into the environment so that wandb talks to this server and to no other."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "0123456789" * 4}

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """Answer one GraphQL request; what is not known gets an empty answer."""
        match re.search(r"(?:query|mutation)\s+(\w+)", query):
            case None:
                return {}
            case found:
                handler = getattr(self, f"_{found[1]}", None)
        with self._lock:
            return handler(given) if handler else {}

    def stream(self, name: str, sent: dict[str, Any]) -> None:
        """Take in lines of a run's files."""
        with self._lock:
            run = self.runs.setdefault(name, Run())
            for file, chunk in (sent.get("files") or {}).items():
                lines = [json.loads(line) for line in chunk["content"]] if file.endswith(("l", "n")) else []
                if file == "wandb-history.jsonl":
                    run.history[chunk["offset"] :] = lines
                elif file == "wandb-summary.json":
                    for line in lines:
                        run.summary.update(line)
            if sent.get("complete"):
                run.exit_code = sent.get("exitcode")

    def _Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "u", "entity": "mock", "username": "mock", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}

    def _GetDefaultEntity(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "u", "entity": "mock"}}

    def _ProjectInternalId(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "p", "internalId": "1"}}

    def _GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:
        project = {
            "id": "p",
            "name": "hetal",
            "entityName": "mock",
            "createdAt": "2026-01-01",
            "isBenchmark": False,
            "user": None,
        }
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [{"node": project, "cursor": "1"}], "pageInfo": page}}

    def _upsertView(self, given: dict[str, Any]) -> dict[str, Any]:
        self.views.append(given)
        project = {"name": given["projectName"], "entityName": given["entityName"]}
        user = {"username": "mock", "name": "mock", "photoUrl": None, "admin": False}
        view = {
            "id": f"view-{len(self.views)}", "type": given["type"], "name": given["name"],
            "displayName": given["displayName"], "description": given["description"], "project": project,
            "createdAt": "2026-01-01", "updatedAt": "2026-01-01", "spec": given["spec"], "previewUrl": None,
            "user": user, "updatedBy": user, "viewCount": 0,
        }  # fmt: skip
        return {"upsertView": {"view": view, "inserted": True}}

    def _UpsertSweep(self, given: dict[str, Any]) -> dict[str, Any]:
        self.sweep = given["config"]
        project = {
            "id": "p",
            "name": given["projectName"],
            "entity": {"id": "e", "name": given["entityName"]},
        }
        return {"upsertSweep": {"sweep": {"name": "s1", "project": project}, "configValidationWarnings": []}}

    def _SweepWithRuns(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "project": {
                "sweep": {"id": "s", "name": given["sweep"], "config": self.sweep, "runs": {"edges": []}}
            }
        }

    def _CreateAgent(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": "a"}}}

    def _Heartbeat(self, given: dict[str, Any]) -> dict[str, Any]:
        commands: list[dict[str, Any]] = [{"type": "exit"}]
        if json.loads(given["runState"]):
            commands = []
        elif self.jobs:
            name = f"agents-{len(self.jobs)}"
            self.runs[name] = Run()
            args = {key: {"value": value} for key, value in self.jobs.pop(0).items()}
            commands = [{"type": "run", "run_id": name, "program": "launch.py", "args": args}]
        return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        is_new = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], Run())
        run.about.update({key: value for key, value in given.items() if value is not None})
        for key, value in json.loads(given.get("config") or "{}").items():
            run.config[key] = value.get("value") if isinstance(value, dict) else value
        return {"upsertBucket": {"inserted": is_new, "bucket": self._bucket(given)}}

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        bucket = self._bucket(given) if given["name"] in self.runs else None
        entity = {"id": "e", "name": "mock"}
        return {"model": {"id": "p", "name": given.get("project"), "entity": entity, "bucket": bucket}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        urls = {name: f"{self.url}/upload/{given['run']}/{name}" for name in given["files"]}
        files = [{"name": name, "uploadUrl": url} for name, url in urls.items()]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _bucket(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs[given["name"]]
        return {
            "id": given["name"],
            "name": given["name"],
            "displayName": run.about.get("displayName"),
            "description": "",
            "sweepName": None,
            "tags": run.about.get("tags") or [],
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "summaryMetrics": json.dumps(run.summary),
            "wandbConfig": json.dumps({"t": {}}),  # without it the client takes the run for absent
            "project": {"id": "p", "name": given.get("project"), "entity": {"id": "e", "name": "mock"}},
        }


@contextmanager
def serving() -> Iterator[MockWandb]:
    """Serve on a free port of the loopback interface."""
    mock = MockWandb()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            sent = self.read()
            if self.path == "/graphql":
                asked = json.loads(sent)
                self.reply({"data": mock.answer(asked["query"], asked.get("variables") or {})})
            elif found := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                mock.stream(found[1], json.loads(sent))
                self.reply({})
            else:
                self.reply({})

        def do_PUT(self) -> None:
            content = self.read()
            _, _, run, name = self.path.split("/", 3)
            if mock.takes_files:
                mock.runs[run].files[name] = content
            self.reply({}, 200 if mock.takes_files else 400)

        def read(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            mock.received.append(body)
            return body

        def reply(self, answer: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass  # wandb drops its connections when it exits

    server = Server(("127.0.0.1", 0), Handler)
    mock.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mock
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
