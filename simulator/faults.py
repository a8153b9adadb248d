"""Misbehaviour on demand: which fault a call meets, and what it does to the
answer.

A fault acts in one of three places: instead of performing the call (REFUSING),
on the contents of the answer (TWISTING), or on its way out (SENDING, done by
server.py).  `latency` acts beside any of them.
"""

import base64
import zlib

OPERATIONS = ("token", "customers", "locations", "agencies", "children", "submit", "readback")
LISTS = ("customers", "locations", "agencies", "children", "readback")

_MATCH = ("groupId", "agencyId", "providerId", "customerId", "month", "batchId",
          "recordId", "childId")

# kind -> {parameter: (type, default)}; a default of ... must be given
REFUSING = {
    "status": {"status": (int, ...), "retryAfter": (str, None), "body": (str, None),
               "contentType": (str, None)},
    "drop_before": {},
    "hang_before": {},
    "redirect": {"status": (int, 307), "location": (str, "/redirected")},
    "batch_failed": {},
    "expire_token": {},
    "echo_password": {},
    "echo_header": {},
    "echo_body": {},
}
TWISTING = {
    "html": {"status": (int, 200)},
    "empty": {"status": (int, 200)},
    "truncated_json": {},
    "huge": {"bytes": (int, ...)},
    "gzip_bomb": {"bytes": (int, ...)},
    "deep_json": {"depth": (int, 100000)},
    "bad_utf8": {},
    "nul_escape": {},
    "results_short": {"drop": (int, 1)},
    "results_long": {},
    "results_shuffled": {},
    "results_unknown_status": {"value": (str, "postponed"), "stores": (bool, True)},
    "results_contradict": {},
    "short_list": {"keep": (int, ...)},
    "empty_list": {},
    "extra_rows": {"rows": (list, ...)},
    "repeat_page": {},
    "endless_pages": {},
    "short_token": {"seconds": (int, ...)},
}
SENDING = {
    "drop_after": {"reset": (bool, False)},
    "cut": {},
    "slow": {"ms": (int, ...), "bytes": (int, 1)},
    "hang": {},
}
KINDS = {"latency": {"ms": (int, ...)}} | REFUSING | TWISTING | SENDING

_ONLY_FOR = (
    {kind: ("submit",) for kind in KINDS if kind.startswith("results_")}
    | {kind: LISTS for kind in (
        "short_list", "empty_list", "extra_rows", "repeat_page", "endless_pages")}
    | {"batch_failed": ("submit",),
       "short_token": ("token",),
       "expire_token": tuple(name for name in OPERATIONS if name != "token")})


class FaultError(ValueError):
    pass


class Fault:
    def __init__(self, value, where):
        if not isinstance(value, dict):
            raise FaultError(f"{where} is not an object")
        self.kind = value.get("kind")
        if self.kind not in KINDS:
            raise FaultError(f"{where}.kind is not one of {', '.join(sorted(KINDS))}")
        parameters = KINDS[self.kind]
        unknown = value.keys() - parameters.keys() - {
            "kind", "operation", "match", "times", "skip"}
        if unknown:
            raise FaultError(f"{where}: {self.kind} has no {min(unknown)}")
        for name, (kind, default) in parameters.items():
            given = value.get(name, default)
            if given is ...:
                raise FaultError(f"{where}: {self.kind} needs {name}")
            if given is not None and type(given) is not kind:
                raise FaultError(f"{where}.{name} is not of type {kind.__name__}")
            setattr(self, name, given)
        self.operation = value.get("operation", "*")
        allowed = _ONLY_FOR.get(self.kind, OPERATIONS)
        if self.operation != "*" and self.operation not in allowed:
            raise FaultError(f"{where}: {self.kind} is not for operation {self.operation}")
        self.operations = frozenset(allowed if self.operation == "*" else (self.operation,))
        self.match = value.get("match", {})
        if not isinstance(self.match, dict) or self.match.keys() - set(_MATCH):
            raise FaultError(f"{where}.match may have {', '.join(_MATCH)}")
        self.times = value.get("times")
        self.skip = value.get("skip", 0)
        for name in ("times", "skip"):
            number = getattr(self, name)
            if number is not None and (type(number) is not int or number < 0):
                raise FaultError(f"{where}.{name} is not a number")
        self.met = 0

    def show(self):
        shown = {"operation": self.operation, "kind": self.kind, "met": self.met,
                 "skip": self.skip}
        shown |= {name: getattr(self, name) for name in KINDS[self.kind]
                  if getattr(self, name) is not None}
        if self.match:
            shown["match"] = self.match
        if self.times is not None:
            shown["times"] = self.times
        return shown

    def fits(self, call):
        if call.operation not in self.operations:
            return False
        for key, value in self.match.items():
            if key in ("recordId", "childId"):
                records = call.facts.get("records")
                if not isinstance(records, list) or not any(
                        isinstance(item, dict) and item.get(key) == value for item in records):
                    return False
            elif call.facts.get(key) != value:
                return False
        return True


class Faults:
    def __init__(self):
        self.list = []

    def set(self, value):
        if not isinstance(value, list):
            raise FaultError("faults is not a list")
        self.list = [Fault(item, f"faults[{n}]") for n, item in enumerate(value)]

    def choose(self, call):
        """(ms of latency, fault or None): the first in the list that fits, and
        beside it any latency."""
        latency, chosen = 0, None
        for fault in self.list:
            if fault.times == 0 or (chosen and fault.kind != "latency") or not fault.fits(call):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            fault.met += 1
            if fault.kind == "latency":
                latency += fault.ms
            else:
                chosen = fault
        return latency, chosen


def prepare(fault, call, number):
    """Before the call is performed: what it is to do otherwise."""
    if fault.kind == "results_unknown_status":
        call.stores = fault.stores
    elif fault.kind == "short_list":
        call.keep = fault.keep
    elif fault.kind == "empty_list":
        call.keep = 0
    elif fault.kind == "extra_rows":
        call.extra_rows = fault.rows
    elif fault.kind == "repeat_page":
        call.endless = "again"
    elif fault.kind == "endless_pages":
        call.endless = f"endless-{number}"
    elif fault.kind == "short_token":
        call.token_life = fault.seconds


HTML = (b"<!DOCTYPE html>\n<html><head><title>Service Temporarily Unavailable</title></head>\n"
        b"<body><h1>Scheduled maintenance</h1></body></html>\n")


def refuse(fault, call, dialect):
    """The answer instead of performing the call: (status, headers, body)."""
    if fault.kind == "status":
        headers = {"Retry-After": fault.retryAfter} if fault.retryAfter else {}
        if fault.body is not None:
            headers["Content-Type"] = fault.contentType or "text/plain"
            return fault.status, headers, fault.body.encode()
        answer = dialect.error(call, fault.status, "SIMULATED", "a fault that was asked for",
                               headers)
    elif fault.kind == "redirect":
        answer = dialect.error(call, fault.status, "MOVED", "the service has moved",
                               {"Location": fault.location})
    elif fault.kind == "batch_failed":
        answer = dialect.refusal(call, 422, "BATCH_FAILED", "the batch could not be processed")
    elif fault.kind == "expire_token":
        answer = dialect.revoke(call)
    elif fault.kind == "echo_header":
        sent = call.headers.get("Authorization", "none")
        if sent.startswith("Basic "):
            sent += f" ({base64.b64decode(sent[6:]).decode()})"
        answer = dialect.refusal(call, 403, "FORBIDDEN", f"bad header Authorization: {sent}")
    elif fault.kind == "echo_body":
        answer = dialect.refusal(call, 403, "FORBIDDEN", f"bad request: {call.body.decode()}")
    else:
        answer = dialect.refusal(call, 403, "FORBIDDEN",
                                 f"access denied with password {dialect.secret_of(call)}")
    headers = {"Content-Type": "application/json"} | answer.headers
    if fault.kind == "status" and fault.contentType:
        headers["Content-Type"] = fault.contentType
    return answer.status, headers, answer.body()


def _mark(answer, mark):
    """Puts a mark into a text of the answer that its reader must decode."""
    target = answer.payload
    if answer.rows and answer.payload[answer.rows]:
        target = answer.payload[answer.rows][0] = dict(answer.payload[answer.rows][0])
    for key in ("name", "lastName", "Last", "message", "Note", "Message", "recordId",
                "access_token", "error"):
        if key in target:
            target[key] = f"{target[key] if isinstance(target[key], str) else ''}{mark}"
            return
    target["mark"] = mark


def _twist_results(fault, answer, dialect):
    results = answer.payload[answer.rows]
    if fault.kind == "results_short":
        del results[max(len(results) - fault.drop, 0):]
    elif fault.kind == "results_long":
        results.append(results[0] | {dialect.row_id: "never-sent"})
    elif fault.kind == "results_shuffled":
        results.reverse()
    elif fault.kind == "results_contradict":
        results.append(results[0] | {dialect.row_status: dialect.row_rejected})
    else:
        for result in results:
            result[dialect.row_status] = fault.value


_gzip_bombs = {}


def _gzip_bomb(head, size, tail):
    key = (head, size, tail)
    if key not in _gzip_bombs:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        chunk = b"x" * 1048576
        parts = [packer.compress(head)]
        for done in range(0, size, len(chunk)):
            parts.append(packer.compress(chunk[:size - done]))
        _gzip_bombs[key] = b"".join(parts) + packer.compress(tail) + packer.flush()
    return _gzip_bombs[key]


def twist(fault, answer, dialect):
    """The contents of the answer, changed: (status, headers, body)."""
    kind = fault.kind
    headers = {"Content-Type": "application/json"} | answer.headers
    if kind == "html":
        return fault.status, {"Content-Type": "text/html; charset=utf-8"}, HTML
    if kind == "empty":
        return fault.status, headers, b""
    if kind.startswith("results_") and answer.rows:
        _twist_results(fault, answer, dialect)
    if kind in ("huge", "gzip_bomb"):
        # before the rows, so that its reader cannot stop short of it
        head, tail = b'{"padding":"', b'",' + answer.body()[1:]
        if kind == "huge":
            return answer.status, headers, head + b"x" * fault.bytes + tail
        headers["Content-Encoding"] = "gzip"
        return answer.status, headers, _gzip_bomb(head, fault.bytes, tail)
    if kind == "deep_json":
        deep = b"[" * fault.depth + b"]" * fault.depth
        return answer.status, headers, b'{"deep":' + deep + b"," + answer.body()[1:]
    if kind == "bad_utf8":
        _mark(answer, "\ue000")
        return answer.status, headers, answer.body().replace("\ue000".encode(), b"\xff\xc3")
    if kind == "nul_escape":
        _mark(answer, "\x00")
    body = answer.body()
    if kind == "truncated_json":
        body = body[:len(body) // 2]
    return answer.status, headers, body
