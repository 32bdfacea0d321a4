"""What ``clew doctor`` is told by a server that runs: its own words, not what this shell's settings say."""

import asyncio
import socket
import ssl
from http import HTTPStatus
from pathlib import Path

import msgspec

import clew
from clew.cli.checks import Finding, Level, code_finding, file_finding, packages_finding, vectors_text
from clew.cli.connection import Target
from clew.wire.status import CodeObject, ModelCallsObject, ModelObject, StatusObject

_TIMEOUT = 45.0
"""Seconds: the server gives its models 30."""

_LATE_DELIVERY = 60
_SILENT = 10
"""Seconds after which a worker's word is old."""

_CROWDED = 0.8


async def ask(where: Target) -> tuple[list[Finding], bool]:
    """Ask a server how it is; return what it said, and whether it told all."""
    import httpx2

    url = where.base_url.partition("/api/projects/")[0].removesuffix("/v1").removesuffix("/openai")
    trust = ssl.create_default_context(cafile=where.ca_bundle)
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT, verify=trust, trust_env=False) as client:
            headers = {"authorization": f"Bearer {where.key}"}
            answer = await client.get(f"{url}/status", params={"models": "ask"}, headers=headers)
    except (httpx2.HTTPError, OSError) as error:
        return [_away(url, error)], False
    try:
        if answer.status_code == HTTPStatus.OK:
            return await _findings(url, msgspec.json.decode(answer.content, type=StatusObject)), True
    except msgspec.DecodeError:
        return [Finding("server", "fail", f"{url} is no Clew of this version", "look at --url")], False
    return [_not_told(url, answer.status_code)], False


def _away(url: str, error: Exception) -> Finding:
    text = f"nobody answers there: {url} ({type(error).__name__})"
    return Finding("server", "warn", text, "it was stopped or killed: start it again with `clew serve`")


def _not_told(url: str, status: int) -> Finding:
    if status == HTTPStatus.FORBIDDEN:
        advice = "ask with an operator's key: CLEW_API_KEY, or one of `clew keys add --operator`"
        return Finding("server", "note", f"{url} answers, and tells only operators how it is", advice)
    if status == HTTPStatus.UNAUTHORIZED:
        return Finding("server", "fail", f"{url} takes another key", "set CLEW_API_KEY to the server's")
    if status == HTTPStatus.NOT_FOUND:
        advice = "is it a Clew, and of this version? Look at --url"
        return Finding("server", "note", f"{url} answers, and has no /status", advice)
    return Finding("server", "fail", f"{url} answers with {status}", "its log says more")


async def _findings(url: str, status: StatusObject) -> list[Finding]:
    return [
        _server(url, status),
        *await _store(status),
        *_bus(status),
        *(_model(model) for model in status.models),
        *(_calls(calls, status.now) for calls in status.model_calls if calls.failures),
        *_code(status.code),
        *_runs(status),
        *_limits(status),
    ]


def _server(url: str, status: StatusObject) -> Finding:
    its = status.process
    up = _ago(status.now - its.started_at)
    which = f"process {its.pid} of {its.host}, Clew {status.version}, started {up}"
    if status.trouble is not None:
        return Finding("server", "fail", f"{url} is not ready: {status.trouble} ({which})")
    if status.version != clew.__version__:
        return Finding("server", "note", f"{url} is ready ({which})", f"this is Clew {clew.__version__}")
    return Finding("server", "ok", f"{url} is ready ({which})")


async def _store(status: StatusObject) -> list[Finding]:
    store = status.store
    if store.trouble is not None:
        return [Finding("store", "fail", f"{store.kind} at {store.where}: {store.trouble}")]
    text = f"{store.kind} at {store.where}, schema {store.schema}, counted in {store.ms:g} ms"
    if store.kind == "PostgreSQL":
        text = f"{text}; {vectors_text(store.pgvector)}"
    found = [Finding("store", "ok", text)]
    if store.kind == "SQLite" and status.process.host == socket.gethostname():
        found.append(await asyncio.to_thread(file_finding, Path(store.where), store.schema))
    return found


def _bus(status: StatusObject) -> list[Finding]:
    bus, found = status.bus, list[Finding]()
    if bus.kind != "local":
        found.append(Finding("bus", "ok" if bus.up else "fail", f"NATS, {'up' if bus.up else 'away'}"))
    if bus.dropped:
        advice = "somebody else is on it, or a process has another secret: docs/security.md"
        found.append(Finding("bus", "warn", f"{bus.dropped} messages were forged or altered", advice))
    return found


def _model(model: ModelObject) -> Finding:
    label = model.name if model.address is None else f"{model.name} at {model.address}"
    if model.problem is not None:
        advice = "correct its key" if " 401" in model.problem or " 403" in model.problem else "see the log"
        return Finding("model", "fail", f"{label}: {model.problem}", advice)
    if model.reachable is None:
        return Finding("model", "ok", f"{label}, embedded")
    if not model.reachable:
        return Finding("model", "fail", f"{label} can't be reached", "correct its url, or start it")
    if model.answers_in_ms is None:
        return Finding("model", "ok", f"{label} can be reached")
    return Finding("model", "ok", f"{label} answers in {model.answers_in_ms} ms")


def _calls(calls: ModelCallsObject, now: int) -> Finding:
    level: Level = "note" if calls.answered_since else "warn"
    since = _ago(now - (calls.last_failure_at or now))
    text = f"{calls.name}: {calls.failures} of {calls.calls} calls failed, the last {since}"
    return Finding("model", level, f"{text}: {calls.last_failure}")


def _code(code: CodeObject | None) -> list[Finding]:
    if code is None:
        return [code_finding("off", None, None)]
    if code.driver is None and code.trouble is None:
        found = [
            Finding("code", "ok", f"CLEW_SANDBOX={code.setting}, not tried yet", "try it: clew code shell")
        ]
    else:
        found = [code_finding(code.setting, code.driver, code.trouble)]
    if code.driver is not None:
        found.append(Finding("code", "ok", f"{code.sessions} of {code.most_sessions} sessions live"))
    return [*found, *packages_finding(code.driver, code.python, code.packages, outdated=code.outdated)]


def _runs(status: StatusObject) -> list[Finding]:
    live = ", ".join(f"{count} {name}" for name, count in status.runs.live.items() if count)
    found = [
        Finding("runs", "ok", f"{live or 'none is live'}; {status.runs.in_line} in line on busy threads")
    ]
    if status.runs.line_full:
        advice = "new runs are refused: start another worker, or raise CLEW_MAX_ACTIVE_RUNS"
        found.append(Finding("runs", "warn", "the line of waiting runs is full", advice))
    if status.bus.kind != "local":
        found.append(_workers(status))
    due = status.webhooks.oldest_due_at
    if due is not None and status.now - due > _LATE_DELIVERY:
        text = f"{status.webhooks.waiting} deliveries wait, the oldest {status.now - due} s late"
        found.append(Finding("webhooks", "warn", text, "see each webhook's last_error"))
    if status.embeddings.stores_of_other_models:
        model, others = status.embeddings.model or "none", status.embeddings.stores_of_other_models
        text = (
            f"{others:,} vector stores have vectors of another model than {model}: words alone find in them"
        )
        found.append(Finding("embeddings", "warn", text, "in their projects: `clew stores reindex --all`"))
    return found


def _workers(status: StatusObject) -> Finding:
    fresh = [worker for worker in status.workers if status.now - worker.seen_at < _SILENT]
    working = [worker for worker in fresh if worker.works]
    text = f"{len(working)} work and {len(fresh) - len(working)} only serve"
    if working:
        named = ", ".join(f"{worker.host}/{worker.pid}" for worker in fresh)
        return Finding("workers", "ok", f"{text}: {named}")
    waiting = status.runs.live.get("queued", 0)
    level: Level = "fail" if waiting else "note"
    return Finding("workers", level, f"{text}; {waiting} runs wait", "start one: clew worker")


def _limits(status: StatusObject) -> list[Finding]:
    its, found = status.connections, list[Finding]()
    if its.open > its.most * _CROWDED:
        advice = "raise the limit of open files (LimitNOFILE), or start another server"
        found.append(Finding("connections", "warn", f"{its.open:,} of {its.most:,} are open", advice))
    if status.limits_met:
        met = ", ".join(f"{name} {count:,} times" for name, count in status.limits_met.items())
        found.append(Finding("limits", "note", f"met since the start: {met}", "the log says by whom"))
    if status.wrong_keys:
        text = f"{status.wrong_keys:,} requests had a wrong key since the start"
        found.append(Finding("keys", "note", text, "the log says from where"))
    return found


_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def _ago(seconds: int) -> str:
    for unit, length in _UNITS:
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{max(0, seconds)} s ago"
