"""Attacks as raw bytes. Each row is a request with the expected status and with what reaches the app.

`python tests/nginx/test_hostile.py` prints the number of requests of each kind, as docs/security.md shows it.
"""

# ruff: noqa: SIM905, RUF001

import asyncio
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from conftest import APPS, DEADLINE, REPO, Container, until
from processes import NAMES, processes
from raw_http import address, exchange

Wire = tuple[bytes, list[int], list[str]]
"""Bytes that are sent, status of each response, and method, target and body of each request that reaches the app."""

# --- Request smuggling: SMUGGLED must never be parsed as a request ---

HOST = b"Host: a\r\n"
POST = b"POST /case HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
AFTER = b"GET /after HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
PASSED = "GET /after "


def refused(request: bytes, status: int = 400) -> Wire:
    """The request is refused, and Nginx reads nothing else from the connection."""
    return request + SMUGGLED + AFTER, [status], []


def accepted(request: bytes, *reached: str) -> Wire:
    """The request reaches the app as described, and so does the next one."""
    return request + AFTER, [200] * (len(reached) + 1), [*reached, PASSED]


def unfinished(request: bytes) -> Wire:
    """Nginx waits for the rest of the request until the client leaves; nothing reaches the app."""
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
    "TE in capitals": accepted(POST + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nab\r\n0\r\n\r\n", "POST /case ab"),
    "TE with whitespace before the colon": refused(POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    "TE with an underscore": accepted(
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
    "negative CL": refused(POST + b"Content-Length: -2\r\n\r\nab"),
    "CL hexadecimal": refused(POST + b"Content-Length: 0x2\r\n\r\nab"),
    "CL with an exponent": refused(POST + b"Content-Length: 2e0\r\n\r\nab"),
    "CL of two words": refused(POST + b"Content-Length: 2 3\r\n\r\nab"),
    "CL empty": refused(POST + b"Content-Length:\r\n\r\nab"),
    "CL of 20 digits": refused(POST + b"Content-Length: 99999999999999999999\r\n\r\nab"),
    "CL in Arabic digits": refused(POST + "Content-Length: ٢\r\n\r\nab".encode()),
    "CL with trailing whitespace": accepted(POST + b"Content-Length: 2 \r\n\r\nab", "POST /case ab"),
    "CL with leading zeros": accepted(POST + b"Content-Length: 002\r\n\r\nab", "POST /case ab"),
    "CL with an underscore": accepted(POST + b"Content_Length: 2\r\n\r\n", "POST /case "),
    "CL of a GET": accepted(
        b"GET /case HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        f"GET /case {SMUGGLED.decode()}",
    ),
    "CL named by Connection": accepted(
        POST + b"Connection: Content-Length\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"
    ),
    "CL in a folded line": refused(POST + b"X: a\r\n Content-Length: 2\r\n\r\nab"),
    "CL larger than the body": unfinished(POST + b"Content-Length: 500\r\n\r\n" + SMUGGLED),
    "fold": refused(POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    "fold with a tab": refused(POST + b"X: a\r\n\tb\r\nContent-Length: 0\r\n\r\n"),
    "fold before the first header": refused(b"GET /case HTTP/1.1\r\n " + HOST + b"\r\n"),
    # RFC 9112, section 2.2, allows a recipient to accept LF as the end of a line.
    "bare LF": accepted((POST + b"Content-Length: 2\r\n\r\n").replace(b"\r\n", b"\n") + b"ab", "POST /case ab"),
    "bare LF before a TE": accepted(
        POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "POST /case ab"
    ),
    "bare CR": refused(POST + b"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab"),
    "bare CR as the end": refused((POST + b"Content-Length: 2\r\n\r\n").replace(b"\r\n", b"\r") + b"ab"),
    "CR CR LF": accepted(POST + b"X: a\r\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"),
    "empty lines before the request line": accepted(
        b"\r\n\r\n" + POST + b"Content-Length: 2\r\n\r\nab", "POST /case ab"
    ),
    "NUL in a value": refused(POST + b"X: a\0b\r\nContent-Length: 2\r\n\r\nab"),
    "NUL in a name": refused(POST + b"X\0: ab\r\nContent-Length: 2\r\n\r\nab"),
    "header without a name": refused(POST + b": x\r\nContent-Length: 2\r\n\r\nab"),
    "header without a colon": accepted(POST + b"Nonsense\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"),
    "chunk size without a digit": refused(CHUNKED + b"zz\r\nab\r\n0\r\n\r\n"),
    "chunk size empty": refused(CHUNKED + b"\r\nab\r\n0\r\n\r\n"),
    "negative chunk size": refused(CHUNKED + b"-1\r\nab\r\n0\r\n\r\n"),
    "chunk size with a plus": refused(CHUNKED + b"+2\r\nab\r\n0\r\n\r\n"),
    "chunk size with 0x": refused(CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n"),
    "chunk size with an underscore": refused(CHUNKED + b"0_2\r\nab\r\n0\r\n\r\n"),
    "chunk size of 64 bits": refused(CHUNKED + b"ffffffffffffffff\r\nab\r\n0\r\n\r\n"),
    "chunk size over 64 bits": refused(CHUNKED + b"10000000000000002\r\nab\r\n0\r\n\r\n"),
    "chunk size over the limit": refused(CHUNKED + b"7fffffff\r\nab\r\n0\r\n\r\n", 413),
    "chunk size after a space": refused(CHUNKED + b" 2\r\nab\r\n0\r\n\r\n"),
    "chunk size before a space": accepted(CHUNKED + b"2 \r\nab\r\n0\r\n\r\n", "POST /case ab"),
    "chunk size ended by LF": accepted(CHUNKED + b"2\nab\n0\n\n", "POST /case ab"),
    "chunk size ended by CR": refused(CHUNKED + b"2\rab\r\n0\r\n\r\n"),
    "chunk longer than its size": refused(CHUNKED + b"2\r\nabc\r\n0\r\n\r\n"),
    "chunk shorter than its size": refused(CHUNKED + b"5\r\nab\r\n0\r\n\r\n"),
    "chunk without an end": refused(CHUNKED + b"2\r\nab0\r\n\r\n"),
    "chunk with an extension": accepted(CHUNKED + b"2;a=b\r\nab\r\n0\r\n\r\n", "POST /case ab"),
    "chunk with a quoted extension": accepted(CHUNKED + b'2;a="0"\r\nab\r\n0\r\n\r\n', "POST /case ab"),
    # Nginx accepts LF as the end of this line, too.
    "chunk extension with a bare LF": accepted(CHUNKED + b"2;\nab\r\n0\r\n\r\n", "POST /case ab"),
    "chunk extension with a bare CR": refused(CHUNKED + b"2;\rab\r\n0\r\n\r\n"),
    "chunks without the last one": unfinished(CHUNKED + b"2\r\nab\r\n"),
    "chunks with half of the last one": unfinished(CHUNKED + b"2\r\nab\r\n0\r\n"),
    "trailers with a Content-Length": accepted(
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
    "HTTP/1.0 kept alive": accepted(
        b"POST /case HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"
    ),
    "HTTP/1.0 not kept alive": (b"GET /case HTTP/1.0\r\n\r\n" + SMUGGLED, [200], ["GET /case "]),
    "HTTP/1.2": accepted(b"GET /case HTTP/1.2\r\n" + HOST + b"\r\n", "GET /case "),
    "HTTP/01.1": refused(b"GET /case HTTP/01.1\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": refused(b"GET /case HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/2 with prior knowledge": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2 by upgrade": accepted(
        b"GET /case HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
        "GET /case ",
    ),
    "WebSocket": accepted(
        b"GET /case HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "GET /case "
    ),
    "unknown Expect": accepted(POST + b"Expect: x\r\nContent-Length: 2\r\n\r\nab", "POST /case ab"),
    "another protocol": refused(b"GET /case RTSP/1.1\r\n" + HOST + b"\r\n"),
    "TLS to the plain port": refused(bytes.fromhex("16030100a5010000a10303") + bytes(154)),
    "space in the target": refused(b"GET /case /x HTTP/1.1\r\n" + HOST + b"\r\n"),
    "tabs instead of spaces": refused(b"GET\t/case\tHTTP/1.1\r\n" + HOST + b"\r\n"),
    "method in lower case": refused(b"get /case HTTP/1.1\r\n" + HOST + b"\r\n"),
    "method with a bracket": refused(b"G(T /case HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TRACE": refused(b"TRACE /case HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "CONNECT": refused(b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT of a path": refused(b"CONNECT /case HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "OPTIONS *": refused(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
}

# --- Request targets ---

TARGETS: dict[str, tuple[bytes, int]] = {
    "CR": (b"/\rX: y", 400),
    "encoded CR LF": (b"/%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded CR LF in the query": (b"/?a=%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded CR LF in a static name": (b"/static/%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded CR LF below a static folder": (b"/static/texts%0d%0aSet-Cookie:%20evil=1", 200),
    "encoded LF": (b"/%0aSet-Cookie:%20evil=1", 200),
    "U+560D U+560A, CR LF if truncated to bytes": ("/嘍嘊Set-Cookie:%20evil=1".encode(), 200),
    "redirect to CR LF": (b"/redirect?to=/%0d%0aSet-Cookie:%20evil=1", 400),
    "redirect to LF": (b"/redirect?to=/%0aSet-Cookie:%20evil=1", 400),
    "redirect to CR": (b"/redirect?to=/%0dSet-Cookie:%20evil=1", 400),
    "redirect to NUL": (b"/redirect?to=/%00", 302),
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
    "truncated UTF-8": (b"/%e2%82", 200),
    "invalid UTF-8": (b"/%ff%fe", 200),
    "invalid UTF-8, raw": (b"/\xff\xfe", 200),
    "invalid UTF-8 in the query": (b"/?\xff=%ff", 200),
    "invalid UTF-8 in a static name": (b"/static/%ff", 200),
    "truncated escape": (b"/%", 400),
    "half an escape": (b"/%4", 400),
    "invalid escape": (b"/%zz", 400),
    "invalid escape in a static name": (b"/static/%zz", 400),
    "escape of %u": (b"/%u002e", 400),
    "longer than a buffer": (b"/" + b"a" * 30_000, 414),
    "a thousand dots": (b"/" + b"./" * 1000, 200),
    "above the root": (b"/../", 400),
    "no slash": (b"case", 400),
    "backslash": (b"\\case", 400),
    "scheme without a host": (b"http:///", 400),
}

# --- Host and proxy headers ---

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
    "not ASCII": ("Host: ä\r\n".encode(), 400),
    "two dots": (b"Host: a..b\r\n", 400),
    "an open bracket": (b"Host: [::1\r\n", 400),
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
"""Headers that only a trusted proxy may send."""

CONTROL = {
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
"""Headers by which an app controls Nginx, or by which a client controls other servers."""

# --- Forbidden files ---

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
    """Return paths with each spelling of `..` and `/` in each location: to the app's code, and to /etc/passwd."""
    ways = list(itertools.product(FOLDERS, CLIMBS, SLASHES))
    code = [f"{path}{up}{slash}routes.py" for path, up, slash in ways]
    return DIRECT + code + [f"{path}{(up + slash) * 6}etc/passwd" for path, up, slash in ways]


HIDDEN = """
    .env .git/config .htaccess .assets.json .texts/note.txt texts/.hidden .DS_Store .note.txt.swp note.txt~ note.txt.bak
    note.txt.old note.txt.orig note.txt.rej note.txt.save note.txt.swp note.txt.swo #note.txt# routes.py routes.pyc
    routes.pyo module.pyd module.pyi module.pyx
""".split()
"""Files in static/ that must not be served."""


def spellings(name: str) -> list[str]:
    """Return the path of a static file in several spellings, the plain one first."""
    escaped = "".join(f"%{ord(letter):02x}" for letter in name)
    plain = name.replace("#", "%23")
    return [
        f"/static/{way}"
        for way in (plain, escaped, f"/{plain}", f"./{plain}", f"x/../{plain}", f"{plain}?x", f"{plain}%20")
    ]


# --- Random requests ---

MUTATED = 10_000
SEED = 4
BITS = b"\0 \t\r\n\x0b\x7f\x80\xff:;,/%?#\"'()[]{}<>\\=@0a-"


def mutations() -> list[bytes]:
    """Return distinct requests: rows from above with up to five random changes, the same ones in each run."""
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
    """Return the number of requests of each kind, as docs/security.md shows it."""
    rows = {
        "path traversal: ways to write `..` and `/`, at every location": len(climbs()),
        "hidden files, backups and source below `/static/`, each written in several ways": sum(
            len(spellings(name)) for name in HIDDEN
        ),
        "request smuggling: lengths, chunks, folds, line ends, versions, methods": len(FRAMING),
        "targets with CR, LF, NUL, broken escapes, overlong or invalid UTF-8": len(TARGETS),
        "`Host` that is doubled, malformed, or no name": len(HOSTS),
        "headers that only a proxy or the app may set": len(SPOOFED) + len(CONTROL),
        "any of these with up to five changes at random": MUTATED,
    }
    return "\n".join(
        ("| what was sent | requests |\n| --- | --- |", *(f"| {what} | {n:,} |" for what, n in rows.items()))
    )


# --- The tests ---


@pytest.fixture(scope="module")
def recorder(start: Callable[..., Container], tmp_path_factory: pytest.TempPathFactory) -> Container:
    """Container of an app that records the requests that reach it, with files that must not be served."""
    tree = tmp_path_factory.mktemp("app")
    tree.chmod(0o755)
    (tree / "routes.py").write_text((APPS / "recorder/routes.py").read_text() + "# SECRET\n")
    files = {"protected/secret.txt": "SECRET", "static/note.txt": "public", "static/texts/note.txt": "public"}
    for name, text in (files | {f"static/{name}": "SECRET" for name in HIDDEN}).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return start(f"--volume={tree}:/app:ro", "--env=PROCESSES=1", "--env=THREADS=8").wait()


def statuses(received: bytes) -> list[int]:
    """Return the status of each response."""
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.MULTILINE)]


def recorded(container: Container) -> list[dict[str, str]]:
    """Return the requests that have reached the app since the last call."""
    return json.loads(exchange(container, get("/seen")).partition(b"\r\n\r\n")[2])


def responses(container: Container, requests: list[bytes], half_close_after: float = DEADLINE) -> list[bytes]:
    """Send each request on its own connection, 100 at once; return what the server sends until it closes each.

    A client that receives nothing for `half_close_after` seconds closes its sending side. A connection that the server
    leaves open is an error.
    """
    free = asyncio.Semaphore(100)

    async def one(request: bytes) -> bytes:
        async with free, asyncio.timeout(2 * DEADLINE):
            reader, writer = await asyncio.open_connection(*address(container))
            received = b""
            try:
                writer.write(request)
                while True:
                    try:
                        piece = await asyncio.wait_for(reader.read(65536), half_close_after)
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

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*map(one, requests))

    return asyncio.run(all_of_them())


def get(target: str | bytes, headers: bytes = HOST) -> bytes:
    """Return a GET request after which the connection closes."""
    raw = target.encode() if isinstance(target, str) else target
    return b"GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (raw, headers)


@pytest.mark.parametrize("case", FRAMING)
def test_no_request_is_smuggled(case: str, recorder: Container) -> None:
    sent, answered, reached = FRAMING[case]
    received = exchange(recorder, sent, half_close=not reached)
    assert statuses(received) == answered, received
    assert [f"{each['REQUEST_METHOD']} {each['REQUEST_URI']} {each['body']}" for each in recorded(recorder)] == reached


@pytest.mark.parametrize("case", TARGETS)
def test_a_request_target_is_refused_or_reaches_the_app_unchanged_and_injects_no_header(
    case: str, recorder: Container
) -> None:
    target, answered = TARGETS[case]
    received = exchange(recorder, get(target))
    assert statuses(received) == [answered], received
    assert not re.search(rb"^(Set-Cookie|X):", received, re.MULTILINE | re.IGNORECASE), received
    reached = [request["REQUEST_URI"] for request in recorded(recorder)]
    assert reached == ([target.decode("latin-1")] if answered < 400 or b"redirect" in target else [])


@pytest.mark.parametrize("case", HOSTS)
def test_a_host_that_is_neither_a_name_nor_an_address_is_refused(case: str, recorder: Container) -> None:
    host, answered = HOSTS[case]
    for path in "/", "/x:/.container/y":  # The check exempts error pages, in /.container/.
        assert statuses(exchange(recorder, get(path, host))) == [answered]
    assert len(recorded(recorder)) == 2 * (answered < 400)


@pytest.mark.parametrize("header", SPOOFED)
def test_a_proxy_header_of_a_client_changes_nothing_for_the_app(header: str, recorder: Container) -> None:
    exchange(recorder, get("/case"))
    for value in b"1.2.3.4", b"https", b"evil":
        exchange(recorder, get("/case", HOST + header.encode() + b": " + value + b"\r\n"))
    plain, *spoofed = recorded(recorder)
    changing = {"REMOTE_PORT", "HTTP_X_REQUEST_ID"}
    for environment in spoofed:
        assert "evil" not in str(environment)
        assert {name: value for name, value in environment.items() if name not in changing} == {
            name: value for name, value in plain.items() if name not in changing
        }


@pytest.mark.parametrize("header", CONTROL)
def test_a_control_header_of_a_client_has_no_effect(header: str, recorder: Container) -> None:
    received = exchange(recorder, get("/case", HOST + f"{header}: {CONTROL[header]}\r\n".encode()))
    assert received.endswith(b"\r\n\r\napp\n")
    assert [(request["REQUEST_METHOD"], request["REQUEST_URI"]) for request in recorded(recorder)] == [("GET", "/case")]


def test_no_path_traversal_serves_a_file(recorder: Container) -> None:
    """Each path is refused or answered by the app."""
    paths = climbs()
    received = responses(recorder, [get(path) for path in paths])
    for path, response in zip(paths, received, strict=True):
        assert statuses(response) in ([200], [400], [404]), (path, response)
        assert statuses(response) != [200] or response.endswith(b"\r\n\r\napp\n"), (path, response)
    recorded(recorder)


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_files_backups_and_source_are_not_served(name: str, recorder: Container) -> None:
    for path in spellings(name):
        received = exchange(recorder, get(path))
        assert statuses(received) in ([404], [200]), received
        assert b"SECRET" not in received, path
    recorded(recorder)
    assert statuses(exchange(recorder, get(spellings(name)[0]))) == [404]


def test_random_requests_cause_no_server_error_no_crash_and_no_error_in_the_log(recorder: Container) -> None:
    """501 and 505 are the responses to unknown transfer codings and HTTP versions."""
    before, old = [processes(recorder, name) for name in NAMES], len(recorder.lines)
    received = responses(recorder, mutations(), half_close_after=0.3)
    counts = Counter(status for response in received for status in statuses(response))
    until(lambda: len(recorder.lines) > old + MUTATED * 0.9, "the requests are logged")
    lines = recorder.lines[old:]
    logged = Counter(int(str(line["status"])) for line in lines if "status" in line)
    assert {status for status in counts | logged if status >= 500} <= {501, 505}
    errors = [str(line["message"]) for line in lines if "status" not in line and line["level"] != "info"]
    assert [message for message in errors if not re.search("client (sent|intended)|is forbidden", message)] == []
    assert [processes(recorder, name) for name in NAMES] == before
    assert recorder.answers()


def test_the_page_on_security_has_the_number_of_requests_of_each_kind() -> None:
    assert table() in (REPO / "docs/security.md").read_text()


if __name__ == "__main__":
    print(table())
