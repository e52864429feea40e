"""What attackers send, over raw sockets: each row is a request, with what is answered and what reaches the app.

`python tests/nginx/test_hostile.py` prints how many there are of each kind, as docs/security.md has it.
"""

# ruff: noqa: SIM905, RUF001

import asyncio
import functools
import itertools
import json
import random
import re
import socket
from collections import Counter
from collections.abc import Callable

import pytest

from conftest import APPS, DEADLINE, REPO, Container, docker

Wire = tuple[bytes, list[int], list[str]]
"""Bytes as sent, the statuses that are answered, and what reaches the app: method, target and body of each."""

# --- Where does one request end? The smuggled one must never be a request of its own ---

HOST = b"Host: a\r\n"
POST = b"POST /case HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
AFTER = b"GET /after HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
PASSED = "GET /after "


def refused(request: bytes, status: int = 400) -> Wire:
    """It is refused, and what follows on the connection is not read."""
    return request + SMUGGLED + AFTER, [status], []


def taken(request: bytes, *seen: str) -> Wire:
    """It reaches the app as said, and the next request is the one that was sent next."""
    return request + AFTER, [200] * (len(seen) + 1), [*seen, PASSED]


def unfinished(request: bytes) -> Wire:
    """It waits for more, and when the client goes away nothing has reached the app."""
    return request, [], []


FRAMING: dict[str, Wire] = {
    "CL.TE": refused(POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "TE.CL": refused(
        POST
        + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    ),
    "TE.TE, the second unknown": refused(POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"),
    "TE.TE, twice the same": refused(
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "TE of two codings": refused(POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
    "TE gzip, chunked": refused(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "TE unknown": refused(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "TE identity": refused(POST + b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", 501),
    "TE empty": refused(POST + b"Transfer-Encoding:\r\nContent-Length: 0\r\n\r\n", 501),
    "TE after a vertical tab": refused(POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 501),
    "TE after a tab": refused(POST + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", 501),
    "TE quoted": refused(POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "TE in capitals": taken(POST + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nab\r\n0\r\n\r\n", "POST /case ab"),
    "TE with whitespace before the colon": refused(POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    "TE with an underscore": taken(
        POST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "POST /case 0\r\n\r\n"
    ),
    "TE folded": refused(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "TE in HTTP/1.0": refused(b"POST /case HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "TE and CL in HTTP/1.0": refused(
        b"POST /case HTTP/1.0\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "CL twice": refused(POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    "CL twice the same": refused(POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
    "CL as a list": refused(POST + b"Content-Length: 2, 2\r\n\r\nab"),
    "CL with a plus": refused(POST + b"Content-Length: +2\r\n\r\nab"),
    "CL below 0": refused(POST + b"Content-Length: -2\r\n\r\nab"),
    "CL hexadecimal": refused(POST + b"Content-Length: 0x2\r\n\r\nab"),
    "CL with an exponent": refused(POST + b"Content-Length: 2e0\r\n\r\nab"),
    "CL of two words": refused(POST + b"Content-Length: 2 3\r\n\r\nab"),
    "CL empty": refused(POST + b"Content-Length:\r\n\r\nab"),
    "CL of 20 digits": refused(POST + b"Content-Length: 99999999999999999999\r\n\r\nab"),
    "CL in Arabic digits": refused(POST + "Content-Length: ٢\r\n\r\nab".encode()),
    "CL with whitespace after it": taken(POST + b"Content-Length: 2 \r\n\r\nab", "POST /case ab"),
    "CL with zeros before it": taken(POST + b"Content-Length: 002\r\n\r\nab", "POST /case ab"),
    "CL with an underscore": taken(POST + b"Content_Length: 2\r\n\r\n", "POST /case "),
    "CL of a GET": taken(
        b"GET /case HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        f"GET /case {SMUGGLED.decode()}",
    ),
    "CL named by Connection": taken(
        POST + b"Connection: Content-Length\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"
    ),
    "CL in a folded line": refused(POST + b"X: a\r\n Content-Length: 2\r\n\r\nab"),
    "CL of more than comes": unfinished(POST + b"Content-Length: 500\r\n\r\n" + SMUGGLED),
    "fold": refused(POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    "fold with a tab": refused(POST + b"X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"),
    "fold before the first header": refused(b"GET /case HTTP/1.1\r\n " + HOST + b"\r\n"),
    # RFC 9112, 2.2 lets a recipient end lines so; the body and the next request are still found.
    "bare LF": taken((POST + b"Content-Length: 2\r\n\r\n").replace(b"\r\n", b"\n") + b"ab", "POST /case ab"),
    "bare LF before a TE": taken(
        POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "POST /case ab"
    ),
    "bare CR": refused(POST + b"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab"),
    "bare CR as the end": refused((POST + b"Content-Length: 2\r\n\r\n").replace(b"\r\n", b"\r") + b"ab"),
    "CR CR LF": taken(POST + b"X: a\r\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"),
    "empty lines before it": taken(b"\r\n\r\n" + POST + b"Content-Length: 2\r\n\r\nab", "POST /case ab"),
    "NUL in a value": refused(POST + b"X: a\0b\r\nContent-Length: 2\r\n\r\nab"),
    "NUL in a name": refused(POST + b"X\0: ab\r\nContent-Length: 2\r\n\r\nab"),
    "header without a name": refused(POST + b": x\r\nContent-Length: 2\r\n\r\nab"),
    "header without a colon": taken(POST + b"Nonsense\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"),
    "chunk size that is none": refused(CHUNKED + b"zz\r\nab\r\n0\r\n\r\n"),
    "chunk size empty": refused(CHUNKED + b"\r\nab\r\n0\r\n\r\n"),
    "chunk size below 0": refused(CHUNKED + b"-1\r\nab\r\n0\r\n\r\n"),
    "chunk size with a plus": refused(CHUNKED + b"+2\r\nab\r\n0\r\n\r\n"),
    "chunk size with 0x": refused(CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n"),
    "chunk size with an underscore": refused(CHUNKED + b"0_2\r\nab\r\n0\r\n\r\n"),
    "chunk size of 64 bits": refused(CHUNKED + b"ffffffffffffffff\r\nab\r\n0\r\n\r\n"),
    "chunk size over 64 bits": refused(CHUNKED + b"10000000000000002\r\nab\r\n0\r\n\r\n"),
    "chunk size over the limit": refused(CHUNKED + b"7fffffff\r\nab\r\n0\r\n\r\n", 413),
    "chunk size after a space": refused(CHUNKED + b" 2\r\nab\r\n0\r\n\r\n"),
    "chunk size before a space": taken(CHUNKED + b"2 \r\nab\r\n0\r\n\r\n", "POST /case ab"),
    "chunk size ended by LF": taken(CHUNKED + b"2\nab\n0\n\n", "POST /case ab"),
    "chunk size ended by CR": refused(CHUNKED + b"2\rab\r\n0\r\n\r\n"),
    "chunk longer than its size": refused(CHUNKED + b"2\r\nabc\r\n0\r\n\r\n"),
    "chunk shorter than its size": refused(CHUNKED + b"5\r\nab\r\n0\r\n\r\n"),
    "chunk without an end": refused(CHUNKED + b"2\r\nab0\r\n\r\n"),
    "chunk with an extension": taken(CHUNKED + b"2;a=b\r\nab\r\n0\r\n\r\n", "POST /case ab"),
    "chunk with a quoted extension": taken(CHUNKED + b'2;a="0"\r\nab\r\n0\r\n\r\n', "POST /case ab"),
    # Nginx ends the extension there, as it does every line: one body, and no other request.
    "chunk extension with a bare LF": taken(CHUNKED + b"2;\nab\r\n0\r\n\r\n", "POST /case ab"),
    "chunk extension with a bare CR": refused(CHUNKED + b"2;\rab\r\n0\r\n\r\n"),
    "chunks without the last one": unfinished(CHUNKED + b"2\r\nab\r\n"),
    "chunks with half of the last one": unfinished(CHUNKED + b"2\r\nab\r\n0\r\n"),
    "trailers that frame": taken(
        CHUNKED + b"2\r\nab\r\n0\r\nContent-Length: 50\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", "POST /case ab"
    ),
    "HTTP/0.9 by CR LF in the target": (
        b"GET /case\r\nX: y HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED,
        [],
        ["GET /case "],
    ),
    "HTTP/0.9 by LF in the target": (b"GET /case\nX: y HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, [], ["GET /case "]),
    "HTTP/0.9, then another": (b"GET /case\r\n" + SMUGGLED, [], ["GET /case "]),
    "HTTP/0.9 by POST": (b"POST /case\r\n" + SMUGGLED, [], []),
    "HTTP/1.0 kept alive": taken(
        b"POST /case HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"
    ),
    "HTTP/1.0 not kept alive": (b"GET /case HTTP/1.0\r\n\r\n" + SMUGGLED, [200], ["GET /case "]),
    "HTTP/1.2": taken(b"GET /case HTTP/1.2\r\n" + HOST + b"\r\n", "GET /case "),
    "HTTP/01.1": refused(b"GET /case HTTP/01.1\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": refused(b"GET /case HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/2 with prior knowledge": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2 by upgrade": taken(
        b"GET /case HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
        "GET /case ",
    ),
    "WebSocket": taken(
        b"GET /case HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "GET /case "
    ),
    "Expect that is unknown": taken(POST + b"Expect: x\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"),
    "protocol of another kind": refused(b"GET /case RTSP/1.1\r\n" + HOST + b"\r\n"),
    "TLS to the plain port": refused(bytes.fromhex("16030100a5010000a10303") + bytes(154)),
    "space in the target": refused(b"GET /case /x HTTP/1.1\r\n" + HOST + b"\r\n"),
    "tabs instead of spaces": refused(b"GET\t/case\tHTTP/1.1\r\n" + HOST + b"\r\n"),
    "method in small letters": refused(b"get /case HTTP/1.1\r\n" + HOST + b"\r\n"),
    "method with a bracket": refused(b"G(T /case HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TRACE": refused(b"TRACE /case HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "CONNECT": refused(b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT of a path": refused(b"CONNECT /case HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "OPTIONS *": refused(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
}

# --- What may a target hold? ---

TARGETS: dict[str, tuple[bytes, int]] = {
    "CR": (b"/\rX: y", 400),
    "encoded CR LF": (b"/%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded CR LF in the query": (b"/?a=%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded CR LF in a static name": (b"/static/%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded CR LF below a static folder": (b"/static/texts%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded LF": (b"/%0aSet-Cookie:%20evil=1", 200),
    "U+560D U+560A, CR LF if cut to bytes": ("/嘍嘊Set-Cookie:%20evil=1".encode(), 200),
    "a redirect to CR LF": (b"/redirect?to=/%0d%0aSet-Cookie:%20evil=1", 400),
    "a redirect to LF": (b"/redirect?to=/%0aSet-Cookie:%20evil=1", 400),
    "a redirect to CR": (b"/redirect?to=/%0dSet-Cookie:%20evil=1", 400),
    "a redirect to NUL": (b"/redirect?to=/%00", 302),
    "NUL": (b"/\0", 400),
    "encoded NUL": (b"/%00", 400),
    "encoded NUL in a static name": (b"/static/note.txt%00.css", 400),
    "encoded NUL in the query": (b"/?%00", 200),
    "control character": (b"/\x01", 400),
    "DEL": (b"/\x7f", 400),
    "overlong slash of 2 bytes": (b"/%c0%af", 200),
    "overlong slash of 3 bytes": (b"/%e0%80%af", 200),
    "overlong slash of 4 bytes": (b"/%f0%80%80%af", 200),
    "overlong NUL": (b"/%c0%80", 200),
    "overlong, raw": (b"/\xc0\xaf", 200),
    "surrogate": (b"/%ed%a0%80", 200),
    "beyond Unicode": (b"/%f4%90%80%80", 200),
    "cut UTF-8": (b"/%e2%82", 200),
    "no UTF-8": (b"/%ff%fe", 200),
    "no UTF-8, raw": (b"/\xff\xfe", 200),
    "no UTF-8 in the query": (b"/?\xff=%ff", 200),
    "no UTF-8 in a static name": (b"/static/%ff", 200),
    "cut escape": (b"/%", 400),
    "half an escape": (b"/%4", 400),
    "escape that is none": (b"/%zz", 400),
    "escape that is none, in a static name": (b"/static/%zz", 400),
    "escape of %u": (b"/%u002e", 400),
    "longer than a buffer": (b"/" + b"a" * 30_000, 414),
    "a thousand dots": (b"/" + b"./" * 1000, 200),
    "above the root": (b"/../", 400),
    "no slash": (b"case", 400),
    "backslash": (b"\\case", 400),
    "scheme without a host": (b"http:///", 400),
}

# --- Whose name is it? Only what can be a name or an address, and nothing that the client says of others ---

HOSTS: dict[str, tuple[bytes, int]] = {
    "none": (b"", 400),
    "two": (b"Host: a\r\nHost: b\r\n", 400),
    "empty": (b"Host: \r\n", 400),
    "a folded one": (b"Host:\r\n a\r\n", 400),
    "whitespace before the colon": (b"Host : a\r\n", 400),
    "a space": (b"Host: a b\r\n", 400),
    "a tab": (b"Host: a\tb\r\n", 400),
    "NUL": (b"Host: a\0b\r\n", 400),
    "a slash": (b"Host: a/b\r\n", 400),
    "a backslash": (b"Host: a\\b\r\n", 400),
    "a user": (b"Host: a@b\r\n", 400),
    "a query": (b"Host: a?b\r\n", 400),
    "a fragment": (b"Host: a#b\r\n", 400),
    "markup": (b'Host: "><script>\r\n', 400),
    "a quote": (b"Host: a'b\r\n", 400),
    "a semicolon": (b"Host: a;b\r\n", 400),
    "a list": (b"Host: a,b\r\n", 400),
    "an escape": (b"Host: a%00b\r\n", 400),
    "encoded CR LF": (b"Host: a%0d%0ab\r\n", 400),
    "no ASCII": ("Host: ä\r\n".encode(), 400),
    "two dots": (b"Host: a..b\r\n", 400),
    "a bracket left open": (b"Host: [::1\r\n", 400),
    "no address in brackets": (b"Host: [a]\r\n", 400),
    "256 letters": (b"Host: " + b"a" * 256 + b"\r\n", 400),
    "an address": (b"Host: 127.0.0.1\r\n", 200),
    "an IPv6 address and a port": (b"Host: [::1]:8080\r\n", 200),
    "an underscore": (b"Host: a_b\r\n", 200),
    "a dot at the end": (b"Host: a.\r\n", 200),
}

SPOOFED = """
    Forwarded Proxy Remote-User X-Forwarded-By X-Forwarded-Email X-Forwarded-For
    X-Forwarded-Groups X-Forwarded-Host X-Forwarded-Port X-Forwarded-Preferred-Username X-Forwarded-Prefix
    X-Forwarded-Proto X-Forwarded-Protocol X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-SSL X-Forwarded-User
    X-Real-IP X-Remote-User X-Request-ID X-Scheme X-Script-Name X_Forwarded_For X_Forwarded_Proto X_Real_IP
""".split()
"""Headers that a client must not be believed: with and without them the app sees the same."""

ORDERS = {
    "X-Accel-Redirect": "/.protected/secret.txt",
    "X-Accel-Buffering": "no",
    "X-Accel-Charset": "utf-7",
    "X-Accel-Expires": "3600",
    "X-Accel-Limit-Rate": "1",
    "X-Sendfile": "/app/protected/secret.txt",
    "X-Original-URL": "/.protected/secret.txt",
    "X-Rewrite-URL": "/.protected/secret.txt",
    "X-HTTP-Method-Override": "DELETE",
}
"""Orders that only an app may give, or that some other front would follow: the answer is the ordinary one."""

# --- Which files must not be had? ---

CLIMBS = """
    .. %2e%2e %2E%2E .%2e %2e. ..%00 ..; ..%3b .../. %252e%252e %25252e%25252e %c0%ae%c0%ae %e0%80%ae%e0%80%ae
    %f0%80%80%ae%f0%80%80%ae %uff0e%uff0e %ff0e%ff0e ..%09 ..%20 ..%0d ..%0a ..%ff .%00. ．． ․․
""".split()
SLASHES = "/ %2f %2F // /./ \\ %5c %252f %c0%af %e0%80%af ∕ %u2215".split()
FOLDERS = """
    / /static /static/ /static/texts/ /.protected /.protected/ /.container /.container/ /health /health/ /case/
""".split()
DIRECT = """
    /.protected/secret.txt /%2eprotected/secret.txt /.protected%2fsecret.txt //.protected/secret.txt
    /./.protected/secret.txt /.protected//secret.txt /.Protected/secret.txt /x/../.protected/secret.txt
    /static/../.protected/secret.txt /static/%2e%2e/.protected/secret.txt /health/../.protected/secret.txt
    /.protected/secret.txt%20 /.protected/secret.txt%00 /.protected/ /.protected /.container/ /.container/error.html
    /%2econtainer/error.html /x/../.container/error.json http://a/.protected/secret.txt
    http://a/static/../.protected/secret.txt /static/ /static/texts/ /static../routes.py
    /static../protected/secret.txt /static%2e%2e/routes.py /routes.py /protected/secret.txt /static_private/x
    /%2e%2e/routes.py
""".split()


def climbs() -> list[str]:
    """Each way to write `..` and `/` in each location, one up to the app's code and six up to the system's users."""
    ways = itertools.product(FOLDERS, CLIMBS, SLASHES)
    return (
        DIRECT
        + [f"{path}{up}{slash}routes.py" for path, up, slash in ways]
        + [f"{path}{(up + slash) * 6}etc/passwd" for path, up, slash in itertools.product(FOLDERS, CLIMBS, SLASHES)]
    )


HIDDEN = """
    .env .git/config .htaccess .assets.json .texts/note.txt texts/.hidden .DS_Store .note.txt.swp note.txt~ note.txt.bak
    note.txt.old note.txt.orig note.txt.rej note.txt.save note.txt.swp note.txt.swo #note.txt# routes.py routes.pyc
    routes.pyo module.pyd module.pyi module.pyx
""".split()
"""Files that are there, below static/, and are not given out."""


def quoted(name: str) -> list[str]:
    """A file's name as it is, and in ways to write it otherwise."""
    escaped = "".join(f"%{ord(letter):02x}" for letter in name)
    plain = name.replace("#", "%23")
    return [
        f"/static/{way}"
        for way in (plain, escaped, f"/{plain}", f"./{plain}", f"x/../{plain}", f"{plain}?x", f"{plain}%20")
    ]


# --- Anything at all ---

MUTATED = 10_000
SEED = 4
BITS = b"\0 \t\r\n\x0b\x7f\x80\xff:;,/%?#\"'()[]{}<>\\=@0a-"


def mutations() -> list[bytes]:
    """Different requests: rows from above, with up to five changes to their bytes; always the same ones."""
    chance = random.Random(SEED)
    rows = [sent for sent, _, _ in FRAMING.values()]
    rows += [b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target[:2000] for target, _ in TARGETS.values()]
    rows += [b"GET /static/note.txt HTTP/1.1\r\n" + host + b"Range: bytes=0-1,3-\r\n\r\n" for host, _ in HOSTS.values()]
    made: dict[bytes, None] = {}
    while len(made) < MUTATED:
        request = bytearray(chance.choice(rows))
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(request) + 1)
            span = slice(at, at + chance.randint(0, 8))
            other = chance.choice(rows)
            start = chance.randrange(len(other))
            request[span] = chance.choice(
                (
                    b"",
                    bytes(request[span]) * chance.choice((2, 2, 50)),
                    bytes(chance.choices(BITS, k=chance.randint(1, 3))),
                    chance.randbytes(chance.randint(1, 4)),
                    other[start : start + chance.randint(1, 40)],
                )
            )
        made[bytes(request)] = None
    return list(made)


def table() -> str:
    """How many of each kind there are, as docs/security.md has it."""
    rows = {
        "path traversal: ways to write `..` and `/`, at every location": len(climbs()),
        "hidden files, backups and source below `/static/`, each written in several ways": sum(
            len(quoted(name)) for name in HIDDEN
        ),
        "request smuggling: lengths, chunks, folds, line ends, versions, methods": len(FRAMING),
        "targets with CR, LF, NUL, broken escapes, overlong or invalid UTF-8": len(TARGETS),
        "`Host` that is doubled, malformed, or no name": len(HOSTS),
        "headers that only a proxy or the app may set": len(SPOOFED) + len(ORDERS),
        "any of these with up to five changes at random": MUTATED,
    }
    return "\n".join(
        ("| what was sent | requests |\n| --- | --- |", *(f"| {what} | {n:,} |" for what, n in rows.items()))
    )


# --- The tests ---


@pytest.fixture(scope="module")
def front(start: Callable[..., Container], tmp_path_factory: pytest.TempPathFactory) -> Container:
    """A container of one process of the app that remembers what reached it, with files that nobody should get."""
    tree = tmp_path_factory.mktemp("app")
    tree.chmod(0o755)
    (tree / "routes.py").write_text((APPS / "recorder/routes.py").read_text() + "# SECRET\n")
    files = {"protected/secret.txt": "SECRET", "static/note.txt": "public", "static/texts/note.txt": "public"}
    for name, text in (files | {f"static/{name}": "SECRET" for name in HIDDEN}).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return start(f"--volume={tree}:/app:ro", "--env=WEB_CONCURRENCY=1", "--env=THREADS=8").wait()


@functools.cache
def address(container: Container) -> tuple[str, int]:
    """Where to reach it; the engine is asked once."""
    host, port = container.address.split(":")
    return host, int(port)


def exchange(container: Container, sent: bytes, leave: bool = False) -> bytes:
    """Sends bytes; returns all that comes until the server closes, which it has to do before the deadline.

    With `leave` the client first says that it sends no more.
    """
    with socket.create_connection(address(container), timeout=DEADLINE) as connection:
        connection.sendall(sent)
        if leave:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass  # the server closed, and more had been sent than it read
        return received


def statuses(received: bytes) -> list[int]:
    """The status of each response."""
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.MULTILINE)]


def seen(container: Container) -> list[dict[str, str]]:
    """What has reached the app since it was last asked."""
    return json.loads(exchange(container, get("/seen")).partition(b"\r\n\r\n")[2])


def answers(container: Container, sent: list[bytes], patience: float = DEADLINE) -> list[bytes]:
    """Sends each on a connection of its own, many at once; returns what came until the end of each.

    A client that has got nothing for `patience` seconds says that it sends no more: what the server still waits for
    doesn't come. One that the server doesn't leave before the deadline is an error.
    """
    room = asyncio.Semaphore(100)

    async def one(request: bytes) -> bytes:
        async with room, asyncio.timeout(2 * DEADLINE):
            reader, writer = await asyncio.open_connection(*address(container))
            received = b""
            try:
                writer.write(request)
                while True:
                    try:
                        piece = await asyncio.wait_for(reader.read(65536), patience)
                    except TimeoutError:
                        writer.write_eof()
                        piece = await reader.read(65536)
                    if not piece:
                        return received
                    received += piece
            except (ConnectionResetError, BrokenPipeError):
                return received
            finally:
                writer.close()

    async def everyone() -> list[bytes]:
        return await asyncio.gather(*(one(request) for request in sent))

    return asyncio.run(everyone())


def processes(container: Container) -> list[str]:
    """Process ids and names, but for nginx's helper that looks through the cache a minute after the start, and ends."""
    listing = docker("top", container.id, "-eo", "pid,args").splitlines()
    return [line for line in listing if "nginx: cache" not in line]


def get(target: str | bytes, headers: bytes = HOST) -> bytes:
    """A request for a target, on a connection that ends with it."""
    raw = target.encode() if isinstance(target, str) else target
    return b"GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (raw, headers)


@pytest.mark.parametrize("case", FRAMING)
def test_no_request_is_smuggled(case: str, front: Container) -> None:
    """The app sees what the row says, and no request that was hidden in another."""
    sent, answered, reached = FRAMING[case]
    received = exchange(front, sent, leave=not reached)
    assert statuses(received) == answered, received
    assert [
        f"{request['REQUEST_METHOD']} {request['REQUEST_URI']} {request['body']}" for request in seen(front)
    ] == reached


@pytest.mark.parametrize("case", TARGETS)
def test_a_target_makes_no_header_and_no_failure(case: str, front: Container) -> None:
    """It is refused, or reaches the app as data; no response has a header of the client's making."""
    target, answered = TARGETS[case]
    received = exchange(front, get(target))
    assert statuses(received) == [answered], received
    assert not re.search(rb"^(Set-Cookie|X):", received, re.MULTILINE | re.IGNORECASE), received
    reached = [request["REQUEST_URI"] for request in seen(front)]
    assert reached == ([target.decode("latin-1")] if answered < 400 or b"redirect" in target else [])


@pytest.mark.parametrize("case", HOSTS)
def test_a_host_is_a_name_or_an_address(case: str, front: Container) -> None:
    """Everything else is refused before the app builds a link with it."""
    host, answered = HOSTS[case]
    for path in "/", "/x:/.container/y":  # where error pages are, any name will do
        assert statuses(exchange(front, get(path, host))) == [answered]
    assert len(seen(front)) == 2 * (answered < 400)


@pytest.mark.parametrize("header", SPOOFED)
def test_what_a_client_says_of_itself_is_not_believed(header: str, front: Container) -> None:
    """With the header the app sees what it sees without."""
    exchange(front, get("/case"))
    for value in b"1.2.3.4", b"https", b"evil":
        exchange(front, get("/case", HOST + header.encode() + b": " + value + b"\r\n"))
    plain, *spoofed = seen(front)
    changing = {"REMOTE_PORT", "HTTP_X_REQUEST_ID"}
    for environment in spoofed:
        assert "evil" not in str(environment)
        assert {name: value for name, value in environment.items() if name not in changing} == {
            name: value for name, value in plain.items() if name not in changing
        }


@pytest.mark.parametrize("header", ORDERS)
def test_what_a_client_orders_is_not_done(header: str, front: Container) -> None:
    """The app is asked for the page, and its answer arrives as it is."""
    received = exchange(front, get("/case", HOST + f"{header}: {ORDERS[header]}\r\n".encode()))
    assert received.endswith(b"\r\n\r\napp\n")
    assert [(request["REQUEST_METHOD"], request["REQUEST_URI"]) for request in seen(front)] == [("GET", "/case")]


def test_no_path_leads_out_of_its_folder(front: Container) -> None:
    """Each is refused, or is a path for the app to answer; none gives out a file."""
    paths = climbs()
    received = answers(front, [get(path) for path in paths])
    for path, response in zip(paths, received, strict=True):
        assert statuses(response) in ([200], [400], [404]), (path, response)
        assert statuses(response) != [200] or response.endswith(b"\r\n\r\napp\n"), (path, response)
    seen(front)


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_files_backups_and_source_are_not_given_out(name: str, front: Container) -> None:
    """Neither as their name is, nor written otherwise."""
    for path in quoted(name):
        received = exchange(front, get(path))
        assert statuses(received) in ([404], [200]), received
        assert b"SECRET" not in received, path
    seen(front)
    assert statuses(exchange(front, get(quoted(name)[0]))) == [404]


def test_no_request_changed_at_random_is_a_failure_a_hang_or_a_crash(front: Container) -> None:
    """No 5xx but for what HTTP says of unknown codings and versions; the same processes live on, and say nothing."""
    before, old = processes(front), len(front.lines)
    received = answers(front, mutations(), patience=0.3)
    counts = Counter(status for response in received for status in statuses(response))
    print(dict(sorted(counts.items())))
    lines = front.lines[old:]
    logged = Counter(int(str(line["status"])) for line in lines if "status" in line)
    assert sum(logged.values()) > MUTATED * 0.9
    assert {status for status in counts | logged if status >= 500} <= {501, 505}
    said = [f"{line['level']}: {line['message']}" for line in lines if "status" not in line]
    assert [line for line in said if not re.search("^error: .*(client (sent|intended)|is forbidden)", line)] == []
    assert processes(front) == before
    assert front.answers()


def test_readme_has_these_counts() -> None:
    """`python tests/nginx/test_hostile.py` prints the very lines."""
    assert table() in (REPO / "docs/security.md").read_text()


if __name__ == "__main__":
    print(table())
