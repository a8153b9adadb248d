"""The HTTP front: takes a call in, lets its dialect perform it, sends the
answer, and misbehaves where a fault says so.

aiohttp's low-level server is used, without its router: one handler, so that
every byte of an answer and every end of a connection is this file's choice.
"""

import asyncio
import socket
import struct
import sys
import zlib

from aiohttp import web

import admin
import faults
import kinderbridge
import store
import vendor_interface

GZIP_FROM = 1024
REFUSALS_KEPT = 100


class Call:
    """A request as a dialect reads it."""

    __slots__ = ("method", "path", "query", "headers", "body", "operation", "facts",
                 "trouble", "request_id", "token", "document", "records", "fault",
                 "keep", "extra_rows", "endless", "stores", "token_life")

    def __init__(self, request, body):
        self.method = request.method
        self.path = request.path
        self.query = request.query_string
        self.headers = request.headers
        self.body = body            # None: over the limit
        self.operation = "other"
        self.facts = {}             # what a fault is matched by
        self.trouble = None
        self.request_id = self.token = ""
        self.document = self.records = self.fault = None
        # what a fault wants of a list
        self.keep = self.endless = None
        self.extra_rows = []
        self.stores = True
        self.token_life = None


class Counter:
    """The calls of one operation."""

    __slots__ = ("received", "processed", "answered", "in_flight", "max_in_flight",
                 "hanging", "statuses")

    def __init__(self):
        self.received = self.processed = self.answered = 0
        self.in_flight = self.max_in_flight = self.hanging = 0
        self.statuses = {}

    def show(self):
        return {"received": self.received, "processed": self.processed,
                "answered": self.answered, "inFlight": self.in_flight,
                "maxInFlight": self.max_in_flight, "hanging": self.hanging,
                "statuses": {str(key): self.statuses[key] for key in sorted(self.statuses)}}


class Simulator:
    def __init__(self, seed, today=None, page_size=100, token_life=3600, verbose=False):
        self.seed = seed
        self.clock = store.Clock(today)
        self.store = store.Store(seed, self.clock)
        self.dialects = [kinderbridge.Dialect(self.store, page_size, token_life),
                         vendor_interface.Dialect(self.store)]
        self._by_path = {path: dialect for dialect in self.dialects
                         for path in dialect.paths()}
        self.verbose = verbose
        self.faults = faults.Faults()
        self.admin = admin.Admin(self)
        self.refused = []           # the last refusals: what was wrong with a request
        self._hanging = set()
        self._waiters = []          # of (predicate, future)
        self._clear_counters()

    def _clear_counters(self):
        self.peers = set()          # the addresses at the other ends of connections
        self.total = Counter()
        self.counters = {name: Counter() for name in (*faults.OPERATIONS, "other")}

    def reset(self, seed, keep_store):
        """Begins anew; calls that hang are given up, not performed."""
        seed = self.seed if seed is None else seed
        fresh = store.Store(seed, self.clock)
        if keep_store:
            fresh.keep(self.store)
        self.seed = seed
        self.store = fresh
        for dialect in self.dialects:
            dialect.use(fresh)
        self.faults.set([])
        self.refused.clear()
        self.release(perform=False)
        self._clear_counters()
        self._changed()

    def release(self, perform=True):
        """Ends every hang; answers how many there were."""
        for future in self._hanging:
            if not future.done():
                future.set_result(perform)
        return len(self._hanging)

    # -- waiting for a count ---------------------------------------------

    async def wait(self, predicate, seconds):
        """Whether the predicate came true within the time."""
        if predicate():
            return True
        future = asyncio.get_running_loop().create_future()
        waiter = (predicate, future)
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(future, seconds)
            return True
        except asyncio.TimeoutError:
            return False
        finally:
            self._waiters.remove(waiter)

    def _changed(self):
        for predicate, future in self._waiters:
            if not future.done() and predicate():
                future.set_result(None)

    def _count(self, counters, name, step):
        for counter in counters:
            setattr(counter, name, getattr(counter, name) + step)
        self._changed()

    # -- one request -----------------------------------------------------

    async def handle(self, request):
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.path.startswith("/_admin/"):
            return await self.admin.handle(request)
        dialect = self._by_path.get(request.path)
        call = Call(request, await self._read_body(request))
        if dialect:
            dialect.read(call)
        self.peers.add(request.transport and request.transport.get_extra_info("peername"))
        # kept by the call to its end: a reset makes new ones
        counters = (self.counters[call.operation], self.total)
        for counter in counters:
            counter.received += 1
            counter.in_flight += 1
            counter.max_in_flight = max(counter.max_in_flight, counter.in_flight)
        self._changed()
        try:
            return await self._answer(request, call, dialect, counters)
        finally:
            self._count(counters, "in_flight", -1)

    @staticmethod
    async def _read_body(request):
        """The body, or None over the limit; then the rest is read and dropped,
        so that the refusal reaches the caller."""
        limit = kinderbridge.MAX_BODY
        if request.content_length is not None and request.content_length <= limit:
            return await request.content.read()
        chunks, size = [], 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
        return b"".join(chunks) if size <= limit else None

    async def _answer(self, request, call, dialect, counters):
        if dialect is None:
            self._refusal(call, 404, "no such path")
            return self._reply(call, counters, request, 404, {}, b"")
        latency, fault = self.faults.choose(call)
        call.fault = fault
        if latency:
            await asyncio.sleep(latency / 1000)
        kind = fault.kind if fault else None

        if kind in faults.REFUSING:
            if kind == "hang_before":
                if not await self._hang(counters):
                    return self._cut_off(request, reset=True)
            else:
                dialect.pass_over(call)
                if kind == "drop_before":
                    return self._cut_off(request, reset=True)
                return self._reply(call, counters, request,
                                   *faults.refuse(fault, call, dialect))

        if fault:
            faults.prepare(fault, call, counters[0].received)
        answer = dialect.perform(call)
        self._count(counters, "processed", 1)
        if answer.failed:
            self._refusal(call, answer.status, answer.payload)
        if kind in faults.TWISTING:
            status, headers, body = faults.twist(fault, answer, dialect)
        else:
            status, body = answer.status, answer.body()
            headers = {"Content-Type": "application/json"} | answer.headers

        if kind == "drop_after":
            return self._cut_off(request, fault.reset)
        if kind == "hang" and not await self._hang(counters, request):
            return self._cut_off(request, reset=True)
        if kind in ("cut", "slow"):
            return await self._drip(request, counters, fault, status, headers, body)
        return self._reply(call, counters, request, status, headers, body)

    def _refusal(self, call, status, payload):
        self.refused.append({"operation": call.operation, "method": call.method,
                             "path": call.path, "status": status,
                             "requestId": call.request_id, "answer": payload})
        del self.refused[:-REFUSALS_KEPT]

    @staticmethod
    def _answered(counters, status):
        for counter in counters:
            counter.answered += 1
            counter.statuses[status] = counter.statuses.get(status, 0) + 1

    def _reply(self, call, counters, request, status, headers, body):
        self._answered(counters, status)
        if self.verbose:
            fault = f", fault {call.fault.kind}" if call.fault else ""
            print(f"{call.operation} {call.method} {call.path}: {status}, "
                  f"{len(body)} bytes{fault}", flush=True)
        if (len(body) > GZIP_FROM and "Content-Encoding" not in headers
                and "gzip" in _codings(request.headers.get("Accept-Encoding", ""))):
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        return web.Response(status=status, headers=headers, body=body)

    @staticmethod
    def _cut_off(request, reset):
        """Ends the connection without an answer, by a reset or in order."""
        transport = request.transport
        if transport is not None:
            if reset:
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
            else:
                transport.close()
        # nothing of it can be written any more
        return web.Response()

    async def _hang(self, counters, request=None):
        """Waits to be released: whether to go on.  With a request, also until
        its caller has gone."""
        future = asyncio.get_running_loop().create_future()
        self._hanging.add(future)
        self._count(counters, "hanging", 1)
        try:
            while request is None or request.transport is not None:
                # a caller that leaves wakes nobody
                done, _ = await asyncio.wait((future,), timeout=0.05)
                if done:
                    return future.result()
            return False
        finally:
            self._hanging.discard(future)
            self._count(counters, "hanging", -1)

    async def _drip(self, request, counters, fault, status, headers, body):
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(body)
        try:
            await response.prepare(request)
            if fault.kind == "cut":
                await response.write(body[:len(body) // 2])
                self._cut_off(request, reset=False)
                return response
            step = max(fault.bytes, 1)
            for place in range(0, len(body), step):
                await response.write(body[place:place + step])
                await asyncio.sleep(fault.ms / 1000)
            await response.write_eof()
            self._answered(counters, status)
        except ConnectionError:
            # the caller had enough
            pass
        return response


def _codings(header):
    """The content codings that the caller takes."""
    for item in header.lower().split(","):
        coding, _, weight = item.partition(";")
        if weight.strip() not in ("q=0", "q=0.0"):
            yield coding.strip()


async def serve(simulator, host, port, tls):
    """Listens; answers the port, which is a free one where 0 was asked for."""
    server = web.Server(simulator.handle, access_log=None, keepalive_timeout=3600)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report)
    listener = await loop.create_server(server, host, port, ssl=tls, backlog=1024)
    return listener.sockets[0].getsockname()[1]


def _report(_loop, context):
    # a caller that went away is everyday business here
    if not isinstance(context.get("exception"), ConnectionError):
        print(context["message"], context.get("exception", ""), file=sys.stderr, flush=True)
