"""Three nodes of etcd on loopback, asked over HTTP (its JSON gateway), to compare with.

etcd is Debian's etcd-server, or whatever `etcd` is on the PATH; nothing is installed here.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from store.client.errors import Lost, NotSent

READY_S: Final = 30.0
NAMES: Final = ("e1", "e2", "e3")


def installed() -> str | None:
    """Where etcd is; None: nowhere."""
    return shutil.which("etcd")


def version(etcd: str) -> str:
    said = subprocess.run([etcd, "--version"], capture_output=True, text=True, check=False, timeout=10)
    return said.stdout.partition("\n")[0].rpartition(" ")[2] or "of unknown version"


class Endpoints(NamedTuple):
    """The ports at which the nodes serve clients, the leader's first."""

    ports: tuple[int, ...]


@asynccontextmanager
async def running(etcd: str, disk: Path, ports: Sequence[int]) -> AsyncIterator[Endpoints]:
    """Three nodes at the first three `ports` for clients and the others among themselves; nothing is left of
    them afterwards."""
    clients, peers = ports[:3], ports[3:6]
    with tempfile.TemporaryDirectory(prefix="etcd-", dir=disk) as root:
        cluster = ",".join([f"{name}=http://127.0.0.1:{at}" for name, at in zip(NAMES, peers, strict=True)])
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for name, client, peer in zip(NAMES, clients, peers, strict=True):
                processes.append(_started(etcd, Path(root), name, client, peer, cluster))
            yield Endpoints(await _leader_first(clients))
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()


def _started(
    etcd: str, root: Path, name: str, client: int, peer: int, cluster: str
) -> subprocess.Popen[bytes]:
    words = [
        etcd,
        *("--name", name),
        *("--data-dir", str(root / name)),
        *("--listen-client-urls", f"http://127.0.0.1:{client}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{client}"),
        *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
        *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
        *("--initial-cluster", cluster),
        *("--initial-cluster-state", "new"),
    ]
    with (root / f"{name}.log").open("wb") as log:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


async def _leader_first(ports: Sequence[int]) -> tuple[int, ...]:
    """Wait until the nodes have a leader."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        statuses = {}
        for port in ports:
            try:
                connection = await Gateway.open(port)
                statuses[port] = await connection.post("/v3/maintenance/status", {}, 2.0)
                await connection.close()
            except (NotSent, Lost):
                break
        if len(statuses) == len(ports):
            leaders = [
                port for port, said in statuses.items() if said["header"]["member_id"] == said.get("leader")
            ]
            if leaders:
                return (leaders[0], *(port for port in ports if port != leaders[0]))
        await trio.sleep(0.2)
    raise NotSent(f"etcd has no leader after {READY_S:g} s")


class Gateway:
    """One connection to a node's gateway, for one caller at a time. The least that HTTP/1.1 asks for, so that
    the client's own share of the time is as small as the store's."""

    def __init__(self, stream: trio.SocketStream, port: int) -> None:
        self._stream = stream
        self._head = (
            f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self._received = bytearray()

    @classmethod
    async def open(cls, port: int) -> Gateway:
        try:
            return cls(await trio.open_tcp_stream("127.0.0.1", port), port)
        except OSError as error:
            raise NotSent(str(error)) from None

    async def close(self) -> None:
        await self._stream.aclose()

    async def put(self, key: str, value: bytes, level: str, timeout_s: float) -> None:
        await self.post("/v3/kv/put", {"key": _coded(key.encode()), "value": _coded(value)}, timeout_s)

    async def get(self, key: str, level: str, timeout_s: float) -> bytes | None:
        """Linearizable, as is etcd's habit; the value is left as it came."""
        found = await self.post("/v3/kv/range", {"key": _coded(key.encode())}, timeout_s)
        return found["kvs"][0]["value"].encode() if found.get("kvs") else None

    async def delete(self, key: str, level: str, timeout_s: float) -> None:
        await self.post("/v3/kv/deleterange", {"key": _coded(key.encode())}, timeout_s)

    async def post(self, path: str, question: dict[str, str], timeout_s: float) -> dict[str, Any]:
        body = json.dumps(question)
        try:
            with trio.fail_after(timeout_s):
                await self._stream.send_all(f"POST {path} {self._head}{len(body)}\r\n\r\n{body}".encode())
                answer: dict[str, Any] = json.loads(await self._body())
        except (trio.TooSlowError, trio.BrokenResourceError, ValueError) as error:
            raise Lost(f"etcd did not answer: {error}") from None
        if "error" in answer:
            raise Lost(f"etcd: {answer['error']}")
        return answer

    async def _body(self) -> bytes:
        received = self._received
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += await self._more()
        head = bytes(received[:end]).lower()
        _, found, rest = head.partition(b"content-length:")
        if not found:
            raise ValueError("an answer of unknown length")
        length = int(rest.partition(b"\r\n")[0])
        while len(received) < end + 4 + length:
            received += await self._more()
        body = bytes(received[end + 4 : end + 4 + length])
        del received[: end + 4 + length]
        return body

    async def _more(self) -> bytes:
        data = bytes(await self._stream.receive_some(65536))
        if not data:
            raise ValueError("the connection ended")
        return data


def _coded(data: bytes) -> str:
    return b64encode(data).decode()


# By wrk ------------------------------------------------------------------------------------------------

WRK_SCRIPT: Final = """\
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for digit = 0, 3 do
      local index = math.floor(n / 64 ^ (3 - digit)) %% 64 + 1
      out[#out + 1] = (digit == 2 and not b or digit == 3 and not c) and "=" or alphabet:sub(index, index)
    end
  end
  return table.concat(out)
end
local bodies = {}
for number = 0, %(keys)d - 1 do
  bodies[number] = '{"key": "' .. base64("bench-" .. number) .. '"%(value)s}'
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  return wrk.format(nil, nil, nil, bodies[math.random(0, %(keys)d - 1)])
end
"""
_UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Figures(NamedTuple):
    """What wrk says of a load."""

    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def by_wrk(
    wrk: str, port: int, clients: int, seconds: float, asked: str, keys: int, value_bytes: int
) -> Figures:
    """The same load from wrk, which costs less of the machine than any client in Python."""
    path = "put" if asked == "put" else "range"
    value = f', "value": "{_coded(b"x" * value_bytes)}"' if asked == "put" else ""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT % {"keys": keys, "value": value})
        script.flush()
        words = [wrk, "-t1", f"-c{clients}", f"-d{math.ceil(seconds)}s", "--latency", "-s", script.name]
        said = subprocess.run(
            [*words, f"http://127.0.0.1:{port}/v3/kv/{path}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 30,
        ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise Lost(f"wrk had errors: {said}")
    return read_wrk(said)


def read_wrk(said: str) -> Figures:
    def time_ms(pattern: str) -> float:
        found = re.search(pattern + r"([0-9.]+)(us|ms|s)\b", said)
        if found is None:
            raise ValueError(f"wrk said something unexpected: {said}")
        return float(found[1]) * _UNITS_MS[found[2]]

    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if rate is None:
        raise ValueError(f"wrk said something unexpected: {said}")
    longest = time_ms(r"Latency\s+\S+\s+\S+\s+")
    return Figures(float(rate[1]), time_ms(r"50%\s+"), time_ms(r"99%\s+"), longest)
