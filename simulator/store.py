"""What the stand-in knows (groups, locations, children, authorizations), what
it holds (attendance), and how it judges a record.

Knows nothing of a wire: a dialect hands in Records and reads objects.
Invariant: submit() either stores every accepted record of a batch or, when
the batch fails, none; and whatever was posted stands in the history, once for
each time it was posted.
"""

import calendar
import datetime
import re
import time
import zoneinfo
from typing import NamedTuple, Optional

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

MESSAGES = {
    "UNKNOWN_CHILD": "no child of this id at this agency",
    "NOT_AUTHORIZED_ON_DATE": "the child is not authorized at this provider on this date",
    "FUTURE_DATE": "the service date has not begun",
    "ENTRY_WINDOW_CLOSED": "the service date is too old to be entered or changed",
    "CYCLE_SUBMITTED": "the billing cycle of this date has been submitted",
    "TOO_MANY_SESSIONS": "more check-in and check-out pairs than the agency takes",
    "MISSING_IN": "a session has no check-in",
    "MISSING_OUT": "a session has no check-out",
    "OUT_BEFORE_IN": "a check-out is not after its check-in",
    "OVERLAPPING_SESSIONS": "two sessions overlap",
    "UNKNOWN_ABSENCE_REASON": "the agency has no such absence reason",
    "CLOSURE_NOT_TAKEN": "the agency takes no closures",
    "RECORD_ID_REUSED": "this record id was used with other content",
}


class SeedError(ValueError):
    """A seed or a patch that cannot be used; says where and why."""


class Record(NamedTuple):
    """One child-day as posted.  Times are minutes after midnight, or None."""

    record_id: str
    child_id: str
    service_date: datetime.date
    kind: str                   # sessions, absence, closure or void
    sessions: tuple = ()        # of (in, out)
    reason: Optional[str] = None


class Batch(NamedTuple):
    """The request that a record came in."""

    received_at: str
    request_id: str
    batch_id: str
    group_id: str
    agency_id: str
    provider_id: str
    fault: Optional[str]


class Held(NamedTuple):
    """The present content of a child-day."""

    record: Record
    received_at: str


class Verdict(NamedTuple):
    record: Record
    status: str                 # accepted, duplicate or rejected
    code: Optional[str] = None


class BatchFailed(Exception):
    """One record of the batch made all of it fail; which one is not told."""


_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_date(text):
    """The date of YYYY-MM-DD; ValueError for anything else.

    fromisoformat() alone would also take other ISO forms.
    """
    if not isinstance(text, str) or not _ISO_DATE.fullmatch(text):
        raise ValueError("not a date")
    return datetime.date.fromisoformat(text)


def _fields(value, where, required, optional):
    """Checks the keys of an object; a "note" is allowed in any."""
    if not isinstance(value, dict):
        raise SeedError(f"{where} is not an object")
    for key in required:
        if key not in value:
            raise SeedError(f"{where} has no {key}")
    for key in value:
        if key not in required and key not in optional and key != "note":
            raise SeedError(f"{where} has an unknown key {key}")
    return {key: item for key, item in value.items() if key != "note"}


def _list(value, where):
    if not isinstance(value, list):
        raise SeedError(f"{where} is not a list")
    return value


def _id(value, where):
    """An id as text.  A number is listed as a number and known by its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise SeedError(f"{where} is not an id of 1 to 64 characters")
    return value


def _typed(value, kind, where):
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SeedError(f"{where} is not of type {kind.__name__}")
    return value


class Rules:
    """What an agency takes; None is no limit."""

    def __init__(self, value, where):
        value = _fields(value, where, (), (
            "absenceReasons", "maxSessions", "entryWindowDays", "loneOutAllowed", "closures",
            "overnight", "batchFails", "cycleSubmittedThrough"))

        def rule(name, kind, default):
            if value.get(name) is None:
                return default
            return _typed(value[name], kind, f"{where}.{name}")

        self.absence_reasons = rule("absenceReasons", list, None)
        self.max_sessions = rule("maxSessions", int, None)
        self.entry_window_days = rule("entryWindowDays", int, None)
        self.lone_out_allowed = rule("loneOutAllowed", bool, False)
        self.closures = rule("closures", bool, True)
        self.overnight = rule("overnight", bool, False)
        self.batch_fails = frozenset(rule("batchFails", list, []))
        unknown = self.batch_fails - MESSAGES.keys()
        if unknown:
            raise SeedError(f"{where}.batchFails names an unknown code {min(unknown)}")
        through = rule("cycleSubmittedThrough", str, None)
        try:
            self.cycle_submitted_through = through and parse_date(through)
        except ValueError:
            raise SeedError(f"{where}.cycleSubmittedThrough is not a date") from None


class Customer:
    def __init__(self, value, where):
        self.fields = _fields(value, where, ("customerId",), ("name", "status"))
        self.key = _id(value["customerId"], f"{where}.customerId")


class Agency:
    def __init__(self, value, where):
        fields = _fields(value, where, ("agencyId",), (
            "name", "state", "timeZone", "customers", "rules"))
        self.key = _id(value["agencyId"], f"{where}.agencyId")
        customers = fields.pop("customers", None)
        self.customers = customers if customers is None else frozenset(
            _id(item, f"{where}.customers") for item in _list(customers, f"{where}.customers"))
        self.rules = Rules(fields.pop("rules", None) or {}, f"{where}.rules")
        self.fields = fields
        try:
            self.zone = zoneinfo.ZoneInfo(fields.get("timeZone") or "UTC")
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError):
            # a wrong zone may be listed on purpose; the dates go by UTC then
            self.zone = datetime.timezone.utc

    def serves(self, customer_key):
        return self.customers is None or customer_key in self.customers


class Location:
    def __init__(self, value, where):
        self.fields = _fields(value, where, ("providerId", "agencyId", "customerId"), (
            "name", "address", "status"))
        self.key = (_id(value["agencyId"], f"{where}.agencyId"),
                    _id(value["providerId"], f"{where}.providerId"))
        self.customer_key = _id(value["customerId"], f"{where}.customerId")

    @property
    def active(self):
        return str(self.fields.get("status", "active")).lower() == "active"


class Authorization:
    """One that cannot be read (listed so on purpose) covers no day and is
    listed in every month."""

    def __init__(self, value, where):
        fields = _fields(value, where, ("providerId",), (
            "authorizationId", "beginDate", "endDate", "unitsOfCare", "days"))
        self.provider_key = _id(fields.pop("providerId"), f"{where}.providerId")
        self.fields = fields
        self.begin = self.end = None
        self.readable = True
        try:
            self.begin = parse_date(fields.get("beginDate"))
            if fields.get("endDate"):
                self.end = parse_date(fields["endDate"])
            self.weekdays = {WEEKDAYS.index(day) for day in fields.get("days") or WEEKDAYS}
        except (ValueError, TypeError):
            self.readable = False

    def touches(self, first, last):
        return not self.readable or (
            self.begin <= last and (self.end is None or self.end >= first))

    def covers(self, day):
        return (self.readable and self.begin <= day
                and (self.end is None or day <= self.end)
                and day.weekday() in self.weekdays)


class Child:
    def __init__(self, value, where):
        fields = _fields(value, where, ("agencyId", "childId"), (
            "firstName", "middleName", "lastName", "suffix", "dateOfBirth", "subsidized",
            "providers", "privateAt", "authorizations"))
        self.key = (_id(fields.pop("agencyId"), f"{where}.agencyId"),
                    _id(value["childId"], f"{where}.childId"))
        self.authorizations = [
            Authorization(item, f"{where}.authorizations[{n}]") for n, item in enumerate(
                _list(fields.pop("authorizations", None) or [], f"{where}.authorizations"))]
        self.providers = dict.fromkeys(
            _id(item, f"{where}.providers") for item in _list(
                fields.pop("providers", None) or [], f"{where}.providers"))
        self.private_at = {
            _id(item, f"{where}.privateAt") for item in _list(
                fields.pop("privateAt", None) or [], f"{where}.privateAt")}
        self.fields = fields

    def fields_at(self, provider_key):
        """As the list of a provider gives it."""
        return self.fields | ({"subsidized": False} if provider_key in self.private_at else {})

    def authorized(self, provider_key, day):
        return self.fields_at(provider_key).get("subsidized") is not False and any(
            item.provider_key == provider_key and item.covers(day)
            for item in self.authorizations)


class Group:
    """A group and its lists, each a dictionary in the order of the seed."""

    PARTS = {"customers": Customer, "agencies": Agency, "locations": Location,
             "children": Child}

    def __init__(self, value, where):
        _fields(value, where, ("groupId", "groupPassword"), tuple(self.PARTS))
        self.key = _id(value["groupId"], f"{where}.groupId")
        self.password = _typed(value["groupPassword"], str, f"{where}.groupPassword")
        for name, part in self.PARTS.items():
            items = _list(value.get(name, []), f"{where}.{name}")
            made = [part(item, f"{where}.{name}[{n}]") for n, item in enumerate(items)]
            setattr(self, name, {item.key: item for item in made})
            if len(getattr(self, name)) < len(made):
                raise SeedError(f"{where}.{name} lists one twice")
        self._roster = None

    def patch(self, value):
        """Merges the changes of a day; nothing is changed when one is wrong."""
        removals = {"removeCustomers": ("customerId",), "removeAgencies": ("agencyId",),
                    "removeLocations": ("agencyId", "providerId"),
                    "removeChildren": ("agencyId", "childId")}
        _fields(value, "patch", ("groupId",), (*self.PARTS, *removals, "groupPassword"))
        password = _typed(value.get("groupPassword", self.password), str, "patch.groupPassword")
        merged = {}
        for name, part in self.PARTS.items():
            items = _list(value.get(name, []), f"patch.{name}")
            made = [part(item, f"patch.{name}[{n}]") for n, item in enumerate(items)]
            merged[name] = getattr(self, name) | {item.key: item for item in made}
        for name, keys in removals.items():
            target = merged[name[len("remove"):].lower()]
            for n, item in enumerate(_list(value.get(name, []), f"patch.{name}")):
                where = f"patch.{name}[{n}]"
                item = _fields(item, where, keys, ())
                key = tuple(_id(item[part], f"{where}.{part}") for part in keys)
                if target.pop(key if len(key) > 1 else key[0], None) is None:
                    raise SeedError(f"{where} is not there")
        self.password = password
        for name, items in merged.items():
            setattr(self, name, items)
        self._roster = None

    def roster(self, agency_key, provider_key, month):
        """The children of a provider with their authorizations that touch the
        month: [(child, [authorization])]."""
        if self._roster is None:
            self._roster = {}
            for child in self.children.values():
                for provider in child.providers | dict.fromkeys(
                        item.provider_key for item in child.authorizations):
                    self._roster.setdefault((child.key[0], provider), []).append(child)
        last = month.replace(day=calendar.monthrange(month.year, month.month)[1])
        listed = []
        for child in self._roster.get((agency_key, provider_key), ()):
            touching = [item for item in child.authorizations
                        if item.provider_key == provider_key and item.touches(month, last)]
            if touching or provider_key in child.providers:
                listed.append((child, touching))
        return listed


class Clock:
    """The time of the service; with a fixed day it is the same on every run."""

    def __init__(self, today=None):
        self.fixed = today
        self._ticks = 0
        self._second = None
        self._dates = {}

    def today(self, zone):
        if self.fixed:
            return self.fixed
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._dates.clear()
        day = self._dates.get(zone)
        if day is None:
            day = self._dates[zone] = datetime.datetime.now(zone).date()
        return day

    def stamp(self):
        if self.fixed:
            self._ticks += 1
            now = datetime.datetime.combine(
                self.fixed, datetime.time(12)) + datetime.timedelta(milliseconds=self._ticks)
        else:
            now = datetime.datetime.utcnow()
        return now.isoformat(timespec="milliseconds") + "Z"


class Store:
    def __init__(self, seed, clock):
        seed = _fields(seed, "seed", (), ("clients", "groups"))
        self.clock = clock
        self.clients = {}
        for n, item in enumerate(_list(seed.get("clients", []), "clients")):
            where = f"clients[{n}]"
            item = _fields(item, where, ("clientId", "clientSecret"), ())
            self.clients[_typed(item["clientId"], str, where)] = _typed(
                item["clientSecret"], str, where)
        self.groups = {}
        for n, item in enumerate(_list(seed.get("groups", []), "groups")):
            group = Group(item, f"groups[{n}]")
            if group.key in self.groups:
                raise SeedError(f"groups[{n}] is there twice")
            self.groups[group.key] = group
        # (group, agency, provider) -> {(date, child): Held}
        self.held = {}
        # (group, record id) -> (content, was it accepted)
        self._known = {}
        # of (Batch, Record, status, code)
        self.history = []

    def keep(self, other):
        """Takes over what another store holds and has seen."""
        self.held = other.held
        self._known = other._known
        self.history = other.history

    def submit(self, group, agency, provider_key, batch, records, stores=True):
        """Judges the records of a batch and stores the accepted ones, or none.

        Raises BatchFailed, with nothing stored, where the agency lets the
        fault of one record fail them all.
        """
        verdicts = [self._verdict(group, agency, provider_key, record) for record in records]
        self._fail_batch(agency, batch, records, verdicts)
        if not stores:
            self.note(batch, records, "not_processed")
            return verdicts
        days = self.held.setdefault((group.key, agency.key, provider_key), {})
        for verdict in verdicts:
            record = verdict.record
            self.history.append((batch, record, verdict.status, verdict.code))
            if verdict.status == "duplicate" or verdict.code == "RECORD_ID_REUSED":
                continue
            accepted = verdict.status == "accepted"
            self._known[group.key, record.record_id] = (
                (agency.key, provider_key, record), accepted)
            if not accepted:
                continue
            day = (record.service_date, record.child_id)
            if record.kind == "void":
                days.pop(day, None)
            else:
                days[day] = Held(record, batch.received_at)
        return verdicts

    def post(self, group, agency, provider_key, batch, records, stores=True):
        """The same for a wire on which ids mean nothing and absences have no
        reasons: what is posted for a child and a day replaces what is held."""
        days = self.held.setdefault((group.key, agency.key, provider_key), {})
        verdicts = []
        for record in records:
            code = self._objection(group, agency, provider_key, record, reasons=False)
            held = days.get((record.service_date, record.child_id))
            same = held is not None and held.record == record
            verdicts.append(Verdict(
                record, "rejected" if code else "duplicate" if same else "accepted", code))
        self._fail_batch(agency, batch, records, verdicts)
        if not stores:
            self.note(batch, records, "not_processed")
            return verdicts
        for verdict in verdicts:
            record = verdict.record
            self.history.append((batch, record, verdict.status, verdict.code))
            if verdict.status == "accepted":
                days[record.service_date, record.child_id] = Held(record, batch.received_at)
        return verdicts

    def _fail_batch(self, agency, batch, records, verdicts):
        if agency.rules.batch_fails and any(
                verdict.code in agency.rules.batch_fails for verdict in verdicts):
            self.note(batch, records, "batch_failed")
            raise BatchFailed

    def note(self, batch, records, status, code=None):
        """Puts records into the history that were posted and not judged."""
        self.history.extend((batch, record, status, code) for record in records)

    def _verdict(self, group, agency, provider_key, record):
        known = self._known.get((group.key, record.record_id))
        if known:
            content, accepted = known
            if content != (agency.key, provider_key, record):
                return Verdict(record, "rejected", "RECORD_ID_REUSED")
            if accepted:
                return Verdict(record, "duplicate")
        code = self._objection(group, agency, provider_key, record)
        return Verdict(record, "rejected" if code else "accepted", code)

    def _objection(self, group, agency, provider_key, record, reasons=True):
        rules = agency.rules
        day = record.service_date
        today = self.clock.today(agency.zone)
        child = None
        if record.kind != "void":
            # a void needs neither child nor authorization
            child = group.children.get((agency.key, record.child_id))
            if child is None:
                return "UNKNOWN_CHILD"
            if day > today:
                return "FUTURE_DATE"
        if rules.entry_window_days is not None and (today - day).days > rules.entry_window_days:
            return "ENTRY_WINDOW_CLOSED"
        if rules.cycle_submitted_through and day <= rules.cycle_submitted_through:
            return "CYCLE_SUBMITTED"
        if child and not child.authorized(provider_key, day):
            return "NOT_AUTHORIZED_ON_DATE"
        if record.kind == "sessions":
            return self._session_objection(rules, record.sessions)
        if record.kind == "absence":
            if (reasons and rules.absence_reasons is not None
                    and record.reason not in rules.absence_reasons):
                return "UNKNOWN_ABSENCE_REASON"
        elif record.kind == "closure" and not rules.closures:
            return "CLOSURE_NOT_TAKEN"
        return None

    @staticmethod
    def _session_objection(rules, sessions):
        if rules.max_sessions is not None and len(sessions) > rules.max_sessions:
            return "TOO_MANY_SESSIONS"
        spans = []
        for begin, end in sessions:
            if begin is None or end is None:
                if not rules.lone_out_allowed:
                    return "MISSING_IN" if begin is None else "MISSING_OUT"
                begin = end = end if begin is None else begin
            elif end <= begin:
                if not rules.overnight:
                    return "OUT_BEFORE_IN"
                end += 24 * 60
            spans.append((begin, end))
        spans.sort()
        for (begin, end), (next_begin, next_end) in zip(spans, spans[1:]):
            # sessions may touch; the same punch twice may not
            if next_begin < end or (begin, end) == (next_begin, next_end):
                return "OVERLAPPING_SESSIONS"
        return None

    def merge(self, group_key, agency_key, child_id, into_id):
        """What is held for a child is another one's, unless that has the day;
        answers how many days."""
        moved = 0
        for (group, agency, _provider), days in self.held.items():
            if (group, agency) != (group_key, agency_key):
                continue
            for day, child in [key for key in days if key[1] == child_id]:
                held = days.pop((day, child))
                if (day, into_id) not in days:
                    days[day, into_id] = held._replace(
                        record=held.record._replace(child_id=into_id))
                    moved += 1
        return moved

    def readback(self, group_key, agency_key, provider_key, first, last):
        days = self.held.get((group_key, agency_key, provider_key), {})
        return [days[key] for key in sorted(days) if first <= key[0] <= last]
