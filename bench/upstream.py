"""A stand-in of Ollama that streams: `python -m bench.upstream PORT`.

`x-chunks: N` has it send so many, `x-pause: S` wait so many seconds between them, and `x-hold: 1` not end.
"""

from __future__ import annotations

import asyncio
import sys

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
_LINE = (
    b'{"model":"chat","created_at":"2026-11-29T08:00:00.000000000Z",'
    b'"message":{"role":"assistant","content":" word"},"done":false}\n'
)
_LAST = (
    b'{"model":"chat","message":{"role":"assistant","content":""},"done":true,"total_duration":5000000000,'
    b'"load_duration":1500000,"prompt_eval_count":26,"prompt_eval_duration":130079000,"eval_count":259,'
    b'"eval_duration":4232710000}\n'
)


def _framed(line: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(line), line)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
            await reader.readexactly(int(fields.get("content-length", 0)))
            pause = float(fields.get("x-pause", 0))
            writer.write(_HEAD)
            for _ in range(int(fields.get("x-chunks", 1))):
                writer.write(_framed(_LINE))
                await writer.drain()
                await asyncio.sleep(pause)
            if "x-hold" in fields:
                await asyncio.sleep(3600)
            writer.write(_framed(_LAST) + b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
