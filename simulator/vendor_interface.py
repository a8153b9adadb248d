"""The wire of dialect vendor-interface: one address, JSON over POST, the
password in each request, and success told in the body.

As strict as kinderbridge.py, in its own way: whatever is wrong with a request
is answered with 200 and a Status of ERROR, for all of its records.
"""

import datetime
import functools
import hmac
import re

import kinderbridge
import store
from kinderbridge import Answer

MAX_RECORDS = 200

PATH = "/vendor-interface"

_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_MONTH = re.compile(r"(0[1-9]|1[0-2])/([0-9]{4})")
_TIME = re.compile(r"(1[0-2]|[1-9]):([0-5][0-9]) ([AP])M")

_KINDS = {"A": "absence", "H": "closure"}
_SLOTS = (("In1", "Out1"), ("In2", "Out2"))


class Refusal(Exception):
    """Why a request is an ERROR; code is for the history alone."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


def malformed(message):
    return Refusal("MALFORMED", message)


def _keys(value, where, required, optional=()):
    if not isinstance(value, dict):
        raise malformed(f"{where} is not an object")
    for key in value:
        if key not in required and key not in optional:
            raise malformed(f"{where} has an unknown key {ascii(key)[1:-1][:64]}")
    for key in required:
        if key not in value:
            raise malformed(f"{where} has no {key}")


def _text(value, where, limit=64):
    try:
        return kinderbridge.text(value, where, limit)
    except kinderbridge.Refusal as refusal:
        raise malformed(refusal.message) from None


@functools.lru_cache(4096)
def _cached_date(text):
    match = _DATE.fullmatch(text)
    if not match:
        raise ValueError("not a date")
    return datetime.date(int(match[3]), int(match[1]), int(match[2]))


def _date(value, where):
    try:
        return _cached_date(value)
    except (ValueError, TypeError):
        raise malformed(f"{where} is not a date MM/DD/YYYY") from None


def _minutes(value, where):
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise malformed(f"{where} is not a time H:MM AM")
    return (int(match[1]) % 12 + (12 if match[3] == "P" else 0)) * 60 + int(match[2])


def _wire_date(value):
    """A date of the seed as it stands on this wire; one that cannot be read
    is listed as it is."""
    try:
        return store.parse_date(value).strftime("%m/%d/%Y")
    except ValueError:
        return "" if value is None else value


def _sessions(value, where):
    sessions = []
    for n, slot in enumerate(_SLOTS):
        pair = tuple(_minutes(value[key], f"{where}.{key}") if key in value else None
                     for key in slot)
        if pair == (None, None):
            continue
        if len(sessions) < n:
            raise malformed(f"{where} has a second slot and no first")
        sessions.append(pair)
    return tuple(sessions)


def _record(value, where):
    slots = [key for slot in _SLOTS for key in slot]
    _keys(value, where, ("Ref", "ChildID", "Date"), (*slots, "AbsenceCode"))
    sessions = _sessions(value, where)
    kind = "sessions"
    if "AbsenceCode" in value:
        if sessions:
            raise malformed(f"{where} has both times and AbsenceCode")
        kind = _KINDS.get(value["AbsenceCode"]) if isinstance(value["AbsenceCode"], str) else None
        if kind is None:
            raise malformed(f"{where}.AbsenceCode is not one of {', '.join(_KINDS)}")
    elif not sessions:
        raise malformed(f"{where} has neither times nor AbsenceCode")
    return store.Record(_text(value["Ref"], f"{where}.Ref"),
                        _text(value["ChildID"], f"{where}.ChildID"),
                        _date(value["Date"], f"{where}.Date"), kind, sessions)


def _records(value):
    if not isinstance(value, list) or not value:
        raise malformed("Attendance is not a list of records")
    if len(value) > MAX_RECORDS:
        raise Refusal("TOO_LARGE", f"more than {MAX_RECORDS} records")
    records = [_record(item, f"Attendance[{n}]") for n, item in enumerate(value)]
    for name, key in (("Ref", lambda record: record.record_id),
                      ("ChildID and Date", lambda record: (record.child_id, record.service_date))):
        if len({key(record) for record in records}) < len(records):
            raise malformed(f"{name} is in Attendance twice")
    return records


class Dialect:
    """Reads a call, performs it on the store, and phrases the reply."""

    row_id = "Ref"
    row_status = "Posted"
    row_rejected = False

    _METHODS = {
        "GetChildren": ("children", "ServiceMonth"),
        "PostAttendance": ("submit", "Attendance"),
    }

    def __init__(self, the_store):
        self.use(the_store)

    def use(self, the_store):
        self.store = the_store

    def paths(self):
        return (PATH,)

    # -- reading ---------------------------------------------------------

    def read(self, call):
        """Names the operation and what a fault may be matched by; notes in
        call.trouble why the call cannot be performed."""
        request_id = call.headers.get("X-Request-Id", "")
        call.request_id = request_id if len(request_id) <= 64 else ""
        try:
            self._read_body(call)
            self._read_head(call)
        except Refusal as refusal:
            call.trouble = refusal

    @staticmethod
    def _read_head(call):
        if call.method != "POST":
            raise malformed("only POST is taken")
        if call.query:
            raise malformed("a query string is not taken")
        if "Authorization" in call.headers:
            raise malformed("a token is not taken")
        if not kinderbridge.json_content(call.headers.get("Content-Type", "")):
            raise malformed("Content-Type is not application/json")
        if "Content-Encoding" in call.headers:
            raise malformed("Content-Encoding is not taken")

    def _read_body(self, call):
        if call.body is None:
            raise Refusal("TOO_LARGE", "the body is too large")
        try:
            document = kinderbridge.decode(call.body.decode())
        except UnicodeDecodeError:
            raise malformed("the body is not UTF-8") from None
        except (ValueError, RecursionError):
            raise malformed("the body is not JSON, or has a key twice") from None
        if not isinstance(document, dict):
            raise malformed("the body is not an object")
        method = document.get("Method")
        if not isinstance(method, str) or method not in self._METHODS:
            raise malformed("Method is missing or unknown")
        call.operation, key = self._METHODS[method]
        call.facts = self._facts(document)
        _keys(document, "the body", ("Method", "AgencyID", "ProviderID", "Password", key))
        for name in ("AgencyID", "ProviderID", "Password"):
            _text(document[name], name, 1024)
        if call.operation == "submit":
            call.records = _records(document["Attendance"])
        else:
            month = document["ServiceMonth"]
            if not isinstance(month, str) or not _MONTH.fullmatch(month) or month.endswith("/0000"):
                raise malformed("ServiceMonth is not MM/YYYY")
        call.document = document

    def _facts(self, document):
        """In the words of kinderbridge, so that a fault is matched alike."""
        facts = {"agencyId": document.get("AgencyID"), "providerId": document.get("ProviderID")}
        month = document.get("ServiceMonth")
        if isinstance(month, str) and _MONTH.fullmatch(month):
            facts["month"] = f"{month[3:]}-{month[:2]}"
        records = document.get("Attendance")
        if isinstance(records, list):
            facts["records"] = [{"recordId": item.get("Ref"), "childId": item.get("ChildID")}
                                for item in records if isinstance(item, dict)]
        group = self._of_provider(document)
        if group:
            facts["groupId"] = group.key
        return facts

    # -- performing ------------------------------------------------------

    def perform(self, call):
        try:
            if call.trouble:
                raise call.trouble
            return getattr(self, f"_{call.operation}")(call, *self._provider(call))
        except Refusal as refusal:
            if call.records and refusal.code != "BATCH_FAILED":
                self.store.note(self._batch(call), call.records, "refused", refusal.code)
            return self.refusal(call, 200, refusal.code, refusal.message)

    def pass_over(self, call):
        """Keeps account of a call that a fault keeps from being performed."""
        if call.records:
            failed = call.fault.kind == "batch_failed"
            self.store.note(self._batch(call), call.records,
                            "batch_failed" if failed else "not_processed")

    def refusal(self, _call, _status, _code, message):
        """What the service itself says: its status is always 200."""
        return Answer(200, {"Status": "ERROR", "Message": message}, failed=True)

    def error(self, _call, status, _code, message, headers=None):
        """What stands before the service says."""
        return Answer(status, {"Status": "ERROR", "Message": message}, headers=headers)

    def revoke(self, call):
        return self.error(call, 401, "INVALID_TOKEN", "there are no tokens here")

    def secret_of(self, call):
        """The secret that the caller sent, for an answer that gives it away."""
        return call.document["Password"] if call.document else "none"

    def _of_provider(self, document):
        """The group whose provider the request names: where several have it,
        the one whose password it is."""
        key = (document.get("AgencyID"), document.get("ProviderID"))
        if not all(isinstance(part, str) for part in key):
            return None
        groups = [group for group in self.store.groups.values()
                  if key in group.locations and key[0] in group.agencies]
        return next((group for group in groups if self._knows(group, document)),
                    groups[0] if groups else None)

    @staticmethod
    def _knows(group, document):
        password = document.get("Password")
        return isinstance(password, str) and hmac.compare_digest(
            group.password.encode(), password.encode(errors="replace"))

    def _provider(self, call):
        group = self._of_provider(call.document)
        if group is None:
            raise Refusal("PROVIDER_NOT_IN_GROUP", "Provider is not known at this agency")
        if not self._knows(group, call.document):
            raise Refusal("BAD_GROUP_PASSWORD", "Invalid web service password")
        agency = group.agencies[call.document["AgencyID"]]
        return group, agency, group.locations[agency.key, call.document["ProviderID"]]

    def _children(self, call, group, agency, location):
        month = call.document["ServiceMonth"]
        roster = group.roster(agency.key, location.key[1],
                              datetime.date(int(month[3:]), int(month[:2]), 1))
        rows = [{"ChildID": child.fields["childId"], "First": child.fields.get("firstName"),
                 "Last": child.fields.get("lastName"),
                 "DOB": _wire_date(child.fields.get("dateOfBirth")),
                 "AuthFrom": _wire_date(item.fields.get("beginDate")),
                 "AuthTo": _wire_date(item.fields.get("endDate")),
                 "Units": item.fields.get("unitsOfCare")}
                for child, authorizations in roster
                if child.fields_at(location.key[1]).get("subsidized") is not False
                for item in authorizations]
        if call.keep is not None:
            rows = rows[:call.keep]
        return Answer(200, {"Status": "OK", "Children": rows + call.extra_rows}, "Children")

    def _batch(self, call):
        document = call.document
        return store.Batch(self.store.clock.stamp(), call.request_id, "",
                           call.facts.get("groupId"), document["AgencyID"],
                           document["ProviderID"], call.fault and call.fault.kind)

    def _submit(self, call, group, agency, location):
        if not location.active:
            raise Refusal("PROVIDER_INACTIVE", "Provider is not active")
        try:
            verdicts = self.store.post(group, agency, location.key[1], self._batch(call),
                                       call.records, call.stores)
        except store.BatchFailed:
            raise Refusal("BATCH_FAILED", "Attendance could not be posted") from None
        return Answer(200, {"Status": "OK", "Results": [
            {"Ref": verdict.record.record_id, "Posted": verdict.status != "rejected",
             "Note": store.MESSAGES[verdict.code] if verdict.code
                     else "Attendance successfully posted to agency"}
            for verdict in verdicts]}, "Results")
