"""What the simulator can be told and asked, under /_admin/: JSON, no
authentication, for tests and for trying things out."""

import json

from aiohttp import web

import faults
import kinderbridge

MAX_WAIT = 30


class BadRequest(Exception):
    pass


def _keys(value, allowed):
    if not isinstance(value, dict):
        raise BadRequest("the body is not an object")
    unknown = value.keys() - set(allowed)
    if unknown:
        raise BadRequest(f"unknown key {min(unknown)}")


def _number(query, name, default=None):
    if name not in query:
        return default
    try:
        return int(query[name])
    except ValueError:
        raise BadRequest(f"{name} is not a number") from None


class Admin:
    def __init__(self, simulator):
        self.simulator = simulator
        self._routes = {
            ("GET", "store"): self._store,
            ("GET", "history"): self._history,
            ("GET", "requests"): self._requests,
            ("GET", "refused"): self._refused,
            ("GET", "tokens"): self._tokens,
            ("GET", "faults"): self._show_faults,
            ("GET", "wait"): self._wait,
            ("POST", "faults"): self._set_faults,
            ("POST", "merge"): self._merge,
            ("POST", "patch"): self._patch,
            ("POST", "release"): self._release,
            ("POST", "reset"): self._reset,
        }

    async def handle(self, request):
        name = request.path.removeprefix("/_admin/")
        route = self._routes.get((request.method, name))
        if route is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            return self._json({"error": f"known here: {known}"}, 404)
        try:
            chunks = [chunk async for chunk in request.content.iter_any()]
            body = b"".join(chunks)
            value = json.loads(body) if body else {}
            return await route(request.query, value)
        except (BadRequest, ValueError) as error:
            return self._json({"error": str(error)}, 400)

    @staticmethod
    def _json(value, status=200):
        return web.Response(status=status, content_type="application/json",
                            body=json.dumps(value, ensure_ascii=False).encode() + b"\n")

    @staticmethod
    def _posted(record):
        return {"childId": record.child_id, "serviceDate": record.service_date.isoformat(),
                "recordId": record.record_id, **kinderbridge.content(record)}

    async def _store(self, query, _value):
        wanted = query.get("groupId")
        records = []
        for (group, agency, provider), days in self.simulator.store.held.items():
            if wanted in (None, group):
                records += [{"groupId": group, "agencyId": agency, "providerId": provider,
                             **self._posted(held.record), "receivedAt": held.received_at}
                            for held in days.values()]
        records.sort(key=lambda item: [item[key] for key in (
            "groupId", "agencyId", "providerId", "childId", "serviceDate")])
        return self._json({"records": records})

    async def _history(self, query, _value):
        after = _number(query, "after", 0)
        history = self.simulator.store.history
        return self._json({"records": [
            {"sequence": n, "receivedAt": batch.received_at, "requestId": batch.request_id,
             "batchId": batch.batch_id, "groupId": batch.group_id,
             "agencyId": batch.agency_id, "providerId": batch.provider_id,
             **self._posted(record), "status": status, "code": code, "fault": batch.fault}
            for n, (batch, record, status, code) in enumerate(history[after:], after + 1)]})

    async def _requests(self, _query, _value):
        total = self.simulator.total
        return self._json(total.show() | {"connections": len(self.simulator.peers), "operations": {
            name: counter.show() for name, counter in self.simulator.counters.items()}})

    async def _refused(self, _query, _value):
        return self._json({"refused": self.simulator.refused})

    async def _tokens(self, _query, _value):
        return self._json({"tokens": self.simulator.dialects[0].tokens_asked})

    async def _show_faults(self, _query, _value):
        return self._json({"faults": [fault.show() for fault in self.simulator.faults.list]})

    async def _set_faults(self, query, value):
        _keys(value, ("faults",))
        self.simulator.faults.set(value.get("faults"))
        return await self._show_faults(query, value)

    async def _patch(self, _query, value):
        if not isinstance(value, dict) or "groupId" not in value:
            raise BadRequest("groupId is missing")
        group = self.simulator.store.groups.get(str(value["groupId"]))
        if group is None:
            raise BadRequest("no such group")
        group.patch(value)
        return self._json({})

    async def _merge(self, _query, value):
        keys = ("groupId", "agencyId", "childId", "intoChildId")
        _keys(value, keys)
        if len(value) < len(keys):
            raise BadRequest(f"{min(set(keys) - value.keys())} is missing")
        moved = self.simulator.store.merge(*(str(value[key]) for key in keys))
        return self._json({"moved": moved})

    async def _release(self, _query, _value):
        return self._json({"released": self.simulator.release()})

    async def _reset(self, _query, value):
        _keys(value, ("seed", "keepStore"))
        self.simulator.reset(value.get("seed"), value.get("keepStore") is True)
        return self._json({})

    async def _wait(self, query, _value):
        simulator = self.simulator
        unknown = set(query) - {"operation", "inFlight", "hanging", "processed", "idle",
                                "timeout"}
        if unknown:
            raise BadRequest(f"unknown parameter {min(unknown)}")
        operation = query.get("operation", "*")
        if operation != "*" and operation not in faults.OPERATIONS:
            raise BadRequest(f"operation is not one of {', '.join(faults.OPERATIONS)}")
        wanted = {"in_flight": _number(query, "inFlight", 0),
                  "hanging": _number(query, "hanging", 0),
                  "processed": _number(query, "processed", 0)}
        seconds = min(_number(query, "timeout", MAX_WAIT), MAX_WAIT)

        def counter():
            # looked up each time: a reset makes new ones
            return simulator.total if operation == "*" else simulator.counters[operation]

        def reached():
            now = counter()
            return (all(getattr(now, name) >= number for name, number in wanted.items())
                    and not ("idle" in query and now.in_flight))

        came = await simulator.wait(reached, seconds)
        return self._json(counter().show(), 200 if came else 408)
