"""The wire of dialect kinderbridge: OAuth2 client credentials, JSON both ways.

Strict: what the contract does not allow is refused, and the refusal names the
key, never a value.
"""

import base64
import binascii
import datetime
import functools
import hashlib
import hmac
import json
import re
import time
import urllib.parse

import store

MAX_RECORDS = 500
MAX_BODY = 1024 * 1024
TOKENS_KEPT = 100

TOKEN_PATH = "/oauth2/token"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_TEXT = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]+")


class Refusal(Exception):
    def __init__(self, status, code, message, headers=None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class Answer:
    """A reply before it is written; rows is the key of its list, failed says
    that it is an error, also where its status does not."""

    def __init__(self, status, payload, rows=None, headers=None, failed=False):
        self.status = status
        self.payload = payload
        self.rows = rows
        self.headers = headers or {}
        self.failed = failed or status != 200

    def body(self):
        return json.dumps(self.payload, ensure_ascii=False, separators=(",", ":")).encode()


def malformed(message):
    return Refusal(400, "MALFORMED", message)


def _object(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is there twice")
    return value


def _constant(name):
    raise ValueError(f"{name} is not JSON")


decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


@functools.lru_cache(64)
def json_content(value):
    """Whether a Content-Type is that of JSON in UTF-8."""
    media, _, parameter = value.partition(";")
    return media.strip().lower() == "application/json" and (
        parameter.strip().lower().replace('"', "") in ("", "charset=utf-8"))


def _keys(value, where, required, optional=()):
    if not isinstance(value, dict):
        raise malformed(f"{where or 'the body'} is not an object")
    prefix = f"{where}." if where else ""
    for key in value:
        if key not in required and key not in optional:
            raise malformed(f"unknown key {prefix}{ascii(key)[1:-1][:64]}")
    for key in required:
        if key not in value:
            raise malformed(f"{prefix}{key} is missing")


def text(value, where, limit=64):
    if not isinstance(value, str):
        raise malformed(f"{where} is not a string")
    if not 0 < len(value) <= limit:
        raise malformed(f"{where} is not of 1 to {limit} characters")
    if not _TEXT.fullmatch(value):
        raise malformed(f"{where} has a character that is not text")
    return value


@functools.lru_cache(4096)
def _cached_date(text):
    return store.parse_date(text)


def _date(value, where):
    try:
        return _cached_date(value)
    except (ValueError, TypeError):
        raise malformed(f"{where} is not a date YYYY-MM-DD") from None


def _minutes(value, where):
    if value is None:
        return None
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise malformed(f"{where} is not a time HH:MM")
    return int(match[1]) * 60 + int(match[2])


def _clock_time(minutes):
    return None if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}"


def content(record):
    """What a record says, as it stands on the wire."""
    if record.kind == "sessions":
        return {"sessions": [{"in": _clock_time(begin), "out": _clock_time(end)}
                             for begin, end in record.sessions]}
    if record.kind == "absence":
        return {"absence": {} if record.reason is None else {"reason": record.reason}}
    return {record.kind: True}


def _sessions(value, where):
    if not isinstance(value, list) or not value:
        raise malformed(f"{where} is not a list of sessions")
    sessions = []
    for n, item in enumerate(value):
        here = f"{where}[{n}]"
        _keys(item, here, ("in", "out"))
        pair = (_minutes(item["in"], f"{here}.in"), _minutes(item["out"], f"{here}.out"))
        if pair == (None, None):
            raise malformed(f"{here} has neither in nor out")
        sessions.append(pair)
    return tuple(sessions)


_KINDS = ("sessions", "absence", "closure", "void")


def _record(value, where):
    _keys(value, where, ("recordId", "childId", "serviceDate"), _KINDS)
    if len(value) != 4:
        raise malformed(f"{where} does not have exactly one of {', '.join(_KINDS)}")
    kind = next(key for key in _KINDS if key in value)
    sessions, reason = (), None
    if kind == "sessions":
        sessions = _sessions(value[kind], f"{where}.sessions")
    elif kind == "absence":
        _keys(value[kind], f"{where}.absence", (), ("reason",))
        if "reason" in value[kind]:
            reason = text(value[kind]["reason"], f"{where}.absence.reason")
    elif value[kind] is not True:
        raise malformed(f"{where}.{kind} is not true")
    return store.Record(text(value["recordId"], f"{where}.recordId"),
                        text(value["childId"], f"{where}.childId"),
                        _date(value["serviceDate"], f"{where}.serviceDate"),
                        kind, sessions, reason)


def _records(value):
    if not isinstance(value, list) or not value:
        raise malformed("records is not a list of records")
    if len(value) > MAX_RECORDS:
        raise Refusal(413, "TOO_LARGE", f"more than {MAX_RECORDS} records")
    records = [_record(item, f"records[{n}]") for n, item in enumerate(value)]
    seen = set()
    for n, record in enumerate(records):
        if record.record_id in seen:
            raise malformed(f"records[{n}].recordId is there twice")
        seen.add(record.record_id)
    return records


class Dialect:
    """Reads a call, performs it on the store, and phrases the reply.

    read() and perform() never wait, so that a call is atomic.
    """

    # how a fault finds its way in a reply
    row_id = "recordId"
    row_status = "status"
    row_rejected = "rejected"

    _OPERATIONS = {
        # path: operation, keys of the request
        "/v1/customers": ("customers", ()),
        "/v1/locations": ("locations", ("customerId",)),
        "/v1/agencies": ("agencies", ("customerId",)),
        "/v1/children": ("children", ("agencyId", "providerId", "month")),
        "/v1/attendance": ("submit", ("agencyId", "providerId", "batchId", "records")),
        "/v1/attendance/query": ("readback", ("agencyId", "providerId", "from", "to")),
    }

    def __init__(self, the_store, page_size, token_life):
        self.page_size = page_size
        self.token_life = token_life
        self._tokens = {}           # token -> (client id, when it expires)
        self._issued = 0
        self._request_ids = set()
        self.use(the_store)

    def use(self, the_store):
        """Takes a new store; tokens of clients that it knows stay good."""
        self.store = the_store
        self.tokens_asked = []      # for the last tokens: by whom, and with which scope
        self._request_ids.clear()
        self._tokens = {token: value for token, value in self._tokens.items()
                        if value[0] in the_store.clients}

    def paths(self):
        return (TOKEN_PATH, *self._OPERATIONS)

    # -- reading ---------------------------------------------------------

    def read(self, call):
        """Names the operation and what a fault may be matched by; notes in
        call.trouble why the call cannot be performed."""
        if call.path == TOKEN_PATH:
            call.operation = "token"
            return
        call.operation, keys = self._OPERATIONS[call.path]
        request_id = call.headers.get("X-Request-Id", "")
        call.request_id = request_id if len(request_id) <= 64 else ""
        call.trouble = self._header_trouble(call)
        # a fault, and the history, must find a call that is to be refused too
        try:
            self._read_body(call, keys)
        except Refusal as refusal:
            call.trouble = call.trouble or refusal

    def _read_body(self, call, keys):
        if call.body is None:
            raise Refusal(413, "TOO_LARGE", f"the body is over {MAX_BODY} bytes")
        try:
            document = decode(call.body.decode())
        except UnicodeDecodeError:
            raise malformed("the body is not UTF-8") from None
        except (ValueError, RecursionError):
            raise malformed("the body is not JSON, or has a key twice") from None
        if isinstance(document, dict):
            call.facts = self._facts(document)
        _keys(document, "", ("group", *keys), () if call.operation == "submit" else ("page",))
        _keys(document["group"], "group", ("groupId", "groupPassword"))
        for key in ("groupId", "groupPassword"):
            text(document["group"][key], f"group.{key}", 1024)
        for key in ("agencyId", "providerId", "customerId", "batchId"):
            if key in document:
                text(document[key], key)
        if "page" in document:
            text(document["page"], "page", 1024)
        if "month" in document:
            month = document["month"]
            if not isinstance(month, str) or not _MONTH.fullmatch(month) or month < "0001":
                raise malformed("month is not YYYY-MM")
        if "from" in document:
            if _date(document["to"], "to") < _date(document["from"], "from"):
                raise malformed("to is before from")
        if "records" in document:
            call.records = _records(document["records"])
        call.document = document

    def _header_trouble(self, call):
        """What is wrong with the head of a request, or None.  The request id
        counts as used from the first time it is seen."""
        request_id = call.headers.get("X-Request-Id", "").lower()
        reused = request_id in self._request_ids
        self._request_ids.add(request_id)
        if call.method != "POST":
            return Refusal(405, "METHOD_NOT_ALLOWED", "only POST is taken", {"Allow": "POST"})
        if call.query:
            return malformed("a query string is not taken")
        if not _UUID.fullmatch(request_id):
            return malformed("X-Request-Id is missing or not a UUID")
        if reused:
            return malformed("X-Request-Id was used before")
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        call.token = token
        expires = self._tokens.get(token, (None, 0))[1]
        if scheme.lower() != "bearer" or expires <= time.monotonic():
            return self._bad_token()
        if not json_content(call.headers.get("Content-Type", "")):
            return malformed("Content-Type is not application/json")
        if "Content-Encoding" in call.headers:
            return malformed("Content-Encoding is not taken")
        return None

    @staticmethod
    def _bad_token():
        return Refusal(401, "INVALID_TOKEN", "the access token is missing, wrong or expired",
                       {"WWW-Authenticate": 'Bearer error="invalid_token"'})

    @staticmethod
    def _facts(document):
        facts = {key: document[key] for key in (
            "agencyId", "providerId", "customerId", "batchId", "month") if key in document}
        group = document.get("group")
        if isinstance(group, dict):
            facts["groupId"] = group.get("groupId")
        facts["records"] = document.get("records")
        return facts

    # -- performing ------------------------------------------------------

    def perform(self, call):
        try:
            if call.operation == "token":
                return self._token(call)
            if call.trouble:
                raise call.trouble
            return getattr(self, f"_{call.operation}")(call, self._group(call))
        except Refusal as refusal:
            if call.operation == "token":
                return Answer(refusal.status, {
                    "error": refusal.code, "error_description": refusal.message},
                    headers=refusal.headers)
            if call.records and refusal.code != "BATCH_FAILED":
                self.store.note(self._batch(call), call.records, "refused", refusal.code)
            return self.error(call, refusal.status, refusal.code, refusal.message,
                              refusal.headers)

    def pass_over(self, call):
        """Keeps account of a call that a fault keeps from being performed."""
        if call.records:
            failed = call.fault.kind == "batch_failed"
            self.store.note(self._batch(call), call.records,
                            "batch_failed" if failed else "not_processed")

    def error(self, call, status, code, message, headers=None):
        if call.operation == "token":
            return Answer(status, {"error": code.lower(), "error_description": message},
                          headers=headers)
        return Answer(status, {"error": {
            "code": code, "message": message, "requestId": call.request_id}}, headers=headers)

    # on this wire a refusal is known by its status
    refusal = error

    def revoke(self, call):
        """Ends a good token; the refusal of it is the answer."""
        self._tokens.pop(call.token, None)
        refusal = self._bad_token()
        return self.error(call, refusal.status, refusal.code, refusal.message, refusal.headers)

    def secret_of(self, call):
        """The secret that the caller sent, for an answer that gives it away."""
        try:
            if call.operation == "token":
                return self._credentials(call)[1]
            return call.document["group"]["groupPassword"]
        except (Refusal, TypeError):
            return "none"

    def _credentials(self, call):
        scheme, _, encoded = call.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "basic":
                raise ValueError("another scheme")
            pair = base64.b64decode(encoded.strip(), validate=True).decode()
            client, colon, secret = pair.partition(":")
            if not colon:
                raise ValueError("no colon")
            # RFC 6749, 2.3.1: both halves are form-encoded
            return tuple(urllib.parse.unquote_plus(half, errors="strict")
                         for half in (client, secret))
        except (ValueError, binascii.Error):
            raise Refusal(401, "invalid_client", "HTTP Basic credentials are missing or malformed",
                          {"WWW-Authenticate": 'Basic realm="token"'}) from None

    def _token(self, call):
        if call.method != "POST":
            raise Refusal(405, "invalid_request", "only POST is taken", {"Allow": "POST"})
        if call.query:
            raise Refusal(400, "invalid_request", "a query string is not taken")
        media = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media != "application/x-www-form-urlencoded":
            raise Refusal(400, "invalid_request", "the body is not a form")
        try:
            if call.body is None:
                raise ValueError("too large")
            form = urllib.parse.parse_qsl(call.body.decode("ascii"), keep_blank_values=True,
                                          strict_parsing=True, errors="strict")
        except ValueError:
            raise Refusal(400, "invalid_request", "the body is not a form") from None
        fields = dict(form)
        if len(fields) < len(form):
            raise Refusal(400, "invalid_request", "a parameter is there twice")
        client, secret = self._credentials(call)
        expected = self.store.clients.get(client)
        if expected is None or not hmac.compare_digest(expected.encode(), secret.encode()):
            raise Refusal(401, "invalid_client", "unknown client, or wrong secret",
                          {"WWW-Authenticate": 'Basic realm="token"'})
        if "grant_type" not in fields:
            raise Refusal(400, "invalid_request", "grant_type is missing")
        if fields["grant_type"] != "client_credentials":
            raise Refusal(400, "unsupported_grant_type", "only client_credentials is taken")
        unknown = fields.keys() - {"grant_type", "scope"}
        if unknown:
            raise Refusal(400, "invalid_request", f"unknown parameter {ascii(min(unknown))[1:65]}")
        self._issued += 1
        token = "sim-" + hashlib.sha256(f"{client} {self._issued}".encode()).hexdigest()
        token += 160 * "-token"     # as long as those of real services
        life = call.token_life or self.token_life
        self._tokens[token] = (client, time.monotonic() + life)
        self.tokens_asked.append({"clientId": client, "scope": fields.get("scope")})
        del self.tokens_asked[:-TOKENS_KEPT]
        return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": life},
                      headers={"Cache-Control": "no-store", "Pragma": "no-cache"})

    def _group(self, call):
        claimed = call.document["group"]
        group = self.store.groups.get(claimed["groupId"])
        if group is None or not hmac.compare_digest(
                group.password.encode(), claimed["groupPassword"].encode()):
            raise Refusal(403, "BAD_GROUP_PASSWORD", "unknown group, or wrong group password")
        return group

    def _provider(self, call, group):
        agency = group.agencies.get(call.document["agencyId"])
        location = group.locations.get((call.document["agencyId"], call.document["providerId"]))
        if agency is None or location is None:
            raise Refusal(403, "PROVIDER_NOT_IN_GROUP",
                          "the group has no such provider at this agency")
        return agency, location

    def _page(self, call, key, rows, row):
        """The page of the list that was asked for.  A page's name holds its
        place and belongs to this one question."""
        if call.keep is not None:
            rows = rows[:call.keep]
        first = 0
        question = json.dumps({name: value for name, value in call.document.items()
                               if name not in ("group", "page")}, sort_keys=True)
        question = f"{call.operation} {call.document['group']['groupId']} {question}"

        def page_name(place):
            digest = hashlib.sha256(f"{question} {place}".encode()).hexdigest()
            return f"p{place}-{digest[:16]}"

        page = call.document.get("page")
        if page is not None and not call.endless:
            place = page[1:].partition("-")[0]
            if not (place.isascii() and place.isdigit() and len(place) < 10
                    and page == page_name(int(place))):
                raise Refusal(400, "BAD_PAGE", "page is not one that this list named")
            first = int(place)
        last = first + self.page_size
        following = page_name(last) if last < len(rows) else None
        if call.endless:
            following = call.endless
        payload = {key: [row(item) for item in rows[first:last]], "nextPage": following}
        payload[key] += call.extra_rows if first == 0 else []
        return Answer(200, payload, key)

    def _customer(self, call, group):
        customer = group.customers.get(call.document["customerId"])
        if customer is None:
            raise Refusal(404, "UNKNOWN_CUSTOMER", "the group has no such customer")
        return customer

    def _customers(self, call, group):
        return self._page(call, "customers", list(group.customers.values()),
                          lambda item: item.fields)

    def _locations(self, call, group):
        customer = self._customer(call, group)
        rows = [item for item in group.locations.values() if item.customer_key == customer.key]
        return self._page(call, "locations", rows, lambda item: item.fields)

    def _agencies(self, call, group):
        customer = self._customer(call, group)
        rows = [item for item in group.agencies.values() if item.serves(customer.key)]
        return self._page(call, "agencies", rows, lambda item: item.fields)

    def _children(self, call, group):
        month = call.document["month"]
        agency, location = self._provider(call, group)
        month = datetime.date(int(month[:4]), int(month[5:]), 1)
        rows = group.roster(agency.key, location.key[1], month)
        return self._page(call, "children", rows, lambda item: item[0].fields_at(location.key[1]) | {
            "authorizations": [authorization.fields for authorization in item[1]]})

    def _readback(self, call, group):
        first = _date(call.document["from"], "from")
        last = _date(call.document["to"], "to")
        agency, location = self._provider(call, group)
        rows = self.store.readback(group.key, agency.key, location.key[1], first, last)
        return self._page(call, "records", rows, lambda held: {
            "recordId": held.record.record_id, "childId": held.record.child_id,
            "serviceDate": held.record.service_date.isoformat(), **content(held.record),
            "receivedAt": held.received_at})

    def _batch(self, call):
        document = call.document
        return store.Batch(self.store.clock.stamp(), call.request_id, document["batchId"],
                           document["group"]["groupId"], document["agencyId"],
                           document["providerId"], call.fault and call.fault.kind)

    def _submit(self, call, group):
        agency, location = self._provider(call, group)
        if not location.active:
            raise Refusal(409, "PROVIDER_INACTIVE", "the provider is not active")
        try:
            verdicts = self.store.submit(group, agency, location.key[1], self._batch(call),
                                         call.records, call.stores)
        except store.BatchFailed:
            raise Refusal(422, "BATCH_FAILED", "the batch could not be processed") from None
        return Answer(200, {"batchId": call.document["batchId"], "results": [
            {"recordId": verdict.record.record_id, "status": verdict.status,
             "code": verdict.code,
             "message": verdict.code and store.MESSAGES[verdict.code]}
            for verdict in verdicts]}, "results")
