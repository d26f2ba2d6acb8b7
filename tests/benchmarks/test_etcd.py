"""The comparison with etcd reads what others say, so that is what is tested."""

from __future__ import annotations

import pytest
import trio

from benchmarks.etcd import Figures, Gateway, read_wrk

SAID = """\
Running 4s test @ http://127.0.0.1:2379/v3/kv/put
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    27.45ms   40.01ms   1.46s    93.70%
    Req/Sec     1.83k   300.11     2.40k    70.00%
  Latency Distribution
     50%  820.00us
     75%   30.10ms
     90%   45.00ms
     99%  421.72ms
  7296 requests in 4.00s, 1.71MB read
Requests/sec:   1824.12
Transfer/sec:    437.11KB
"""


def test_what_wrk_says_is_read_in_milliseconds() -> None:
    assert read_wrk(SAID) == pytest.approx(Figures(1824.12, 0.82, 421.72, 1460.0))
    with pytest.raises(ValueError, match="wrk said something unexpected"):
        read_wrk("unable to connect")


def test_answers_are_cut_out_of_the_stream_wherever_it_breaks() -> None:
    answers = [b'{"kvs":[{"value":"dg=="}]}', b"{}", b'{"error":"no leader"}']
    whole = b"".join(
        [b"HTTP/1.1 200 OK\r\ncontent-LENGTH: %d\r\n\r\n%s" % (len(body), body) for body in answers]
    )

    async def main() -> None:
        async def serve(stream: trio.SocketStream) -> None:
            for at in range(0, len(whole), 7):
                await stream.send_all(whole[at : at + 7])
                await trio.lowlevel.checkpoint()
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            gate = await Gateway.open(listener.socket.getsockname()[1])
            assert await gate.get("k", "linearizable", 5) == b"dg=="
            assert await gate.get("k", "linearizable", 5) is None
            with pytest.raises(Exception, match="etcd: no leader"):
                await gate.put("k", b"v", "linearizable", 5)
            nursery.cancel_scope.cancel()

    trio.run(main)
