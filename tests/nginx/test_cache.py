"""The cache of responses (CACHE=on): RFC 9111 for a shared cache."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
import requests

from conftest import APPS, Container, docker, until
from wsgi_runtime.start import nginx_memory

Start = Callable[..., Container]
FRONT = f"--volume={APPS}/front:/app:ro"
ONE_PROCESS = ("--env=WEB_CONCURRENCY=1",)
numbers = count()


@pytest.fixture(scope="module")
def front(start: Start) -> Container:
    """One process, so that the app's counts are true."""
    return start(FRONT, *ONE_PROCESS, "--env=CACHE=on").wait()


class Page:
    """A path that nobody has asked for before, and what the app says to it."""

    def __init__(self, container: Container, *headers: str, **options: str) -> None:
        self.container = container
        self.path = f"/page{next(numbers)}"
        self.query = {"header": headers, **options}

    def ask(self, method: str = "GET", **headers: str) -> requests.Response:
        """Asks for it; underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(method, self.container.url(self.path), params=self.query, headers=named, timeout=20)

    @property
    def calls(self) -> int:
        """How often the app was asked."""
        return int(self.container.get(f"/calls?path={self.path}").text)


KEPT = [
    ("Cache-Control:max-age=60",),
    ("Cache-Control:public, max-age=60",),
    ("Cache-Control:s-maxage=60, max-age=0",),
    ("Cache-Control:max-age=60", "Vary:Accept-Encoding"),
    ("Expires:Thu, 31 Dec 2099 23:59:59 GMT",),
]


@pytest.mark.parametrize("headers", KEPT, ids=" ".join)
def test_what_is_marked_cacheable_is_kept(front: Container, headers: tuple[str, ...]) -> None:
    """The app is asked once, and the client can see why."""
    page = Page(front, *headers)
    first, second = page.ask(), page.ask()
    assert (first.headers["X-Cache-Status"], second.headers["X-Cache-Status"]) == ("MISS", "HIT")
    assert (first.text, second.text) == ("call 1", "call 1")
    assert page.calls == 1


NOT_KEPT = [
    (),
    ("Cache-Control:private, max-age=60",),
    ("Cache-Control:no-store",),
    ("Cache-Control:no-cache, max-age=60",),
    ("Cache-Control:max-age=0",),
    ("Cache-Control:s-maxage=0, max-age=60",),
    ("Cache-Control:max-age=60", "Set-Cookie:session=ada"),
    ("Cache-Control:max-age=60", "Vary:*"),
    ('ETag:"a"',),
    ("Last-Modified:Thu, 01 Jan 2026 00:00:00 GMT",),
    ("Expires:0",),
    ("Expires:Thu, 01 Jan 2026 00:00:00 GMT",),
]


@pytest.mark.parametrize("headers", NOT_KEPT, ids=" ".join)
def test_what_is_not_marked_cacheable_is_not_kept(front: Container, headers: tuple[str, ...]) -> None:
    """Each client gets an answer of its own."""
    page = Page(front, *headers)
    assert [page.ask().text for _ in range(3)] == ["call 1", "call 2", "call 3"]


PERSONAL = [
    {"Cookie": "session=ada"},
    {"Authorization": "Bearer ada"},
    {"Cookie": "a=1", "Authorization": "Basic eA=="},
]


@pytest.mark.parametrize("who", PERSONAL, ids=str)
def test_who_says_who_they_are_neither_fills_the_cache_nor_is_answered_from_it(
    front: Container, who: dict[str, str]
) -> None:
    """Never one user's answer to another."""
    page = Page(front, "Cache-Control:max-age=60", tell="HTTP_COOKIE")
    assert page.ask(**who).text.startswith("call 1")
    assert page.ask().text == "call 2 "
    assert page.ask(**who).text.startswith("call 3")
    assert page.ask().text == "call 2 "


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_other_methods_pass_by(front: Container, method: str) -> None:
    """In both directions."""
    page = Page(front, "Cache-Control:max-age=60")
    assert page.ask(method).text == "call 1"
    assert page.ask().text == "call 2"
    assert page.ask(method).text == "call 3"
    assert page.ask().text == "call 2"


def test_head_and_get_are_kept_apart(front: Container) -> None:
    """A body that was not there is never given to somebody who asks for it."""
    page = Page(front, "Cache-Control:max-age=60")
    assert page.ask("HEAD").text == ""
    assert page.ask().text == "call 2"
    assert page.ask("HEAD").headers["X-Cache-Status"] == "HIT"


@pytest.mark.parametrize("name", ["Host", "Accept-Language"])
def test_what_can_vary_is_kept_apart(front: Container, name: str) -> None:
    """The host always does, and what the app names in Vary."""
    page = Page(
        front, "Cache-Control:max-age=60", "Vary:Accept-Language", tell=f"HTTP_{name.upper().replace('-', '_')}"
    )
    for value in ("one.example", "two.example") * 2:
        assert page.ask(**{name: value}).text.endswith(value)
    assert page.calls == 2


def test_the_query_string_is_part_of_the_name(front: Container) -> None:
    """Also its order, which may mean something to the app."""
    page = Page(front, "Cache-Control:max-age=60")
    texts = [front.get(f"{page.path}?header=Cache-Control:max-age=60&{more}").text for more in ("a=1&b=2", "b=2&a=1")]
    assert texts == ["call 1", "call 2"]


@pytest.mark.parametrize("status", ["200", "301", "404", "410"])
def test_a_status_is_kept_if_the_app_says_so(front: Container, status: str) -> None:
    """With an explicit lifetime any final status may be kept."""
    page = Page(front, "Cache-Control:max-age=60", status=status)
    assert [requests.get(front.url(page.path), params=page.query, allow_redirects=False).text for _ in "12"] == [
        "call 1"
    ] * 2


def test_the_apps_own_304_and_206_reach_the_client_and_are_not_kept(front: Container) -> None:
    """With the cache, conditional requests and those for a part go to the app as without it."""
    for headers in ((), ("Cache-Control:max-age=60",)):
        page = Page(front, 'ETag:"a"', *headers)
        assert page.ask(If_None_Match='"a"').status_code == 304
        assert page.ask(Range="bytes=0-3").text == "part"
        assert page.ask().text == "call 3"


def test_a_kept_answer_is_revalidated_and_cut_by_nginx(front: Container) -> None:
    """Nobody asks the app."""
    page = Page(front, "Cache-Control:max-age=60", 'ETag:"a"')
    page.ask()
    assert page.ask(If_None_Match='"a"').status_code == 304
    assert page.ask(If_None_Match='"b"').text == "call 1"
    assert page.calls == 1


def test_an_answer_past_its_time_is_revalidated_with_the_app(front: Container) -> None:
    """By the validator of what is kept, whatever the client's own is; a 304 makes it fresh again."""
    page = Page(front, "Cache-Control:max-age=1", 'ETag:"a"')
    assert page.ask().text == "call 1"
    time.sleep(2.1)
    answer = page.ask(If_None_Match='"older"')
    assert (answer.status_code, answer.text, answer.headers["X-Cache-Status"]) == (200, "call 1", "REVALIDATED")
    assert page.calls == 2


def test_a_stale_answer_serves_while_it_is_renewed(front: Container) -> None:
    """As stale-while-revalidate says: nobody waits for the app."""
    page = Page(front, "Cache-Control:max-age=1, stale-while-revalidate=60", sleep="0.5")
    assert page.ask().text == "call 1"
    time.sleep(2.1)
    assert page.ask().elapsed.total_seconds() < 0.4
    until(lambda: page.ask().text == "call 2", "it is renewed")
    assert page.calls == 2


def test_only_one_request_renews_a_stale_answer(front: Container) -> None:
    """The others get what is there."""
    page = Page(front, "Cache-Control:max-age=1, stale-while-revalidate=60", sleep="0.5")
    page.ask()
    time.sleep(2.1)
    crowd = [threading.Thread(target=page.ask) for _ in range(20)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    until(lambda: page.ask().text == "call 2", "it is renewed")
    assert page.calls == 2


def test_stale_if_error_applies_when_the_app_does_not_answer(start: Start) -> None:
    """Without it the client gets the error."""
    container = start(FRONT, *ONE_PROCESS, "--env=CACHE=on").wait()
    may = Page(container, "Cache-Control:max-age=1, stale-if-error=60")
    may_not = Page(container, "Cache-Control:max-age=1")
    assert (may.ask().text, may_not.ask().text) == ("call 1", "call 1")
    container.exec("touch", "/tmp/broken")
    time.sleep(2.1)
    answer = may.ask()
    assert (answer.text, answer.headers["X-Cache-Status"]) == ("call 1", "STALE")
    assert may_not.ask().status_code >= 500


def test_an_error_response_of_the_app_is_not_replaced_by_a_stale_one(front: Container) -> None:
    """nginx can't limit that to responses with stale-if-error: README says so."""
    page = Page(front, "Cache-Control:max-age=1, stale-if-error=60")
    page.ask()
    front.exec("sh", "-c", "printf 503 > /tmp/broken")
    try:
        until(lambda: page.ask().status_code == 503, "the cached response expires")
    finally:
        front.exec("rm", "/tmp/broken")


LARGE = [
    pytest.param("1000000", 90, (), id="90 pages of 1 MB"),
    pytest.param("100000000", 1, (), id="100 MB"),
    pytest.param("100000000", 1, ("no_length",), id="100 MB without a Content-Length"),
]


@pytest.mark.parametrize(("size", "pages", "options"), LARGE)
def test_a_cacheable_response_of_any_size_is_complete(
    front: Container, size: str, pages: int, options: tuple[str, ...]
) -> None:
    """Large ones are not cached."""
    for _ in range(pages):
        page = Page(front, "Cache-Control:max-age=60", size=size, **dict.fromkeys(options, "1"))
        assert len(page.ask().content) == len("call 1") + int(size)
    assert page.ask().headers["X-Cache-Status"] == "MISS"


def test_a_response_without_a_length_is_not_cached(front: Container) -> None:
    """Nothing shows whether it is complete."""
    page = Page(front, "Cache-Control:max-age=60", no_length="1", die_after="1", size="100000")
    assert "call 1" in page.ask().text
    assert "call 2" in page.ask().text


def test_a_truncated_response_is_not_cached(front: Container) -> None:
    """The app announced more than it sent."""
    page = Page(front, "Cache-Control:max-age=60", die_after="1", size="90000")
    for _ in range(2):
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            page.ask()
    assert page.calls == 2


@pytest.mark.parametrize("memory", [128 << 20, 256 << 20, 1 << 30, 24 << 30])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_cache_is_bounded_by_its_number_of_keys(memory: int, in_memory: bool) -> None:
    """nginx enforces max_size only every 10 s; a full keys_zone it enforces at once."""
    spool = nginx_memory.Spool(in_memory, 0)
    sizes = nginx_memory.sizes(memory, True, 4, 65536, 10 << 20, spool)
    keys = int(sizes["CACHE_ZONE"].removesuffix("k")) * 1024 // 128
    largest = next(size for size in range(100_000, 0, -1) if re.fullmatch(sizes["CACHE_LENGTH"], str(size)))
    assert keys * largest <= (memory // 8 if in_memory else 600 << 20)
    assert keys > int(sizes["REQUESTS_MAX"]) or keys > 4096


def test_the_cache_never_has_more_responses_than_keys(start: Start) -> None:
    """Also while requests come faster than nginx looks at max_size; the oldest go."""
    container = start(FRONT, *ONE_PROCESS, "--env=CACHE=on", "--memory=128m", "--tmpfs=/tmp").wait()
    query = "header=Cache-Control:max-age=600&size=5000"
    with ThreadPoolExecutor(8) as clients:
        assert {
            answer.status_code for answer in clients.map(container.get, [f"/n{n}?{query}" for n in range(2000)])
        } == {200}
    assert container.get(f"/n1999?{query}").headers["X-Cache-Status"] == "HIT"
    assert container.get(f"/n0?{query}").headers["X-Cache-Status"] == "MISS"
    used = int(container.exec("du", "-sk", "/tmp/nginx-cache").split()[0])
    assert 2 << 10 < used < 24 << 10
    assert container.running


def test_the_cache_starts_empty_and_belongs_to_one_container(start: Start) -> None:
    """Containers of one pod share /dev/shm."""
    first = start(FRONT, *ONE_PROCESS, "--env=CACHE=on", "--ipc=shareable").wait()
    second = start(FRONT, *ONE_PROCESS, "--env=CACHE=on", f"--ipc=container:{first.id}").wait()
    sent = {"params": {"header": "Cache-Control:max-age=60"}, "headers": {"Host": "one.example"}}
    for container in first, second:
        assert container.get("/same", **sent).headers["X-Cache-Status"] == "MISS"
    docker("restart", first.id)
    assert first.wait().get("/same", **sent).headers["X-Cache-Status"] == "MISS"


IDENTITIES = ["X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups"]


@pytest.fixture(scope="module")
def behind_proxy(start: Start) -> Container:
    """It trusts every peer."""
    return start(FRONT, *ONE_PROCESS, "--env=CACHE=on", "--env=TRUSTED_PROXIES=0.0.0.0/0").wait()


@pytest.mark.parametrize("value", ["ada", "0"])
@pytest.mark.parametrize("name", IDENTITIES)
def test_requests_with_an_identity_from_a_trusted_proxy_bypass_the_cache(
    behind_proxy: Container, name: str, value: str
) -> None:
    """In both directions."""
    page = Page(behind_proxy, "Cache-Control:max-age=60")
    assert page.ask(**{name: value}).text == "call 1"
    assert page.ask().text == "call 2"
    assert page.ask(**{name: value}).text == "call 3"
    assert page.ask().text == "call 2"


def test_each_prefix_has_its_own_cached_response(behind_proxy: Container) -> None:
    """Apps build links with it."""
    page = Page(behind_proxy, "Cache-Control:max-age=60")
    for _ in range(2):
        assert page.ask(X_Forwarded_Prefix="/one").text == "call 1"
        assert page.ask(X_Forwarded_Prefix="/two").text == "call 2"


@pytest.mark.parametrize("body", [b"a", iter([b"a"])], ids=["Content-Length", "chunked"])
def test_a_get_with_a_body_bypasses_the_cache(front: Container, body: object) -> None:
    """The body is not part of the key."""
    page = Page(front, "Cache-Control:max-age=60")
    assert page.ask().text == "call 1"
    assert front.get(page.path, params=page.query, data=body).text == "call 2"
    assert page.ask().text == "call 1"


def test_a_long_target_is_cached_without_an_error(front: Container) -> None:
    """16 KB, and no line above info in the log."""
    old = len(front.lines)
    sent = {"header": "Cache-Control:max-age=60", "long": "a" * 16_000}
    assert [front.get("/long", params=sent).text for _ in "12"] == ["call 1"] * 2
    assert {line["level"] for line in front.lines[old:]} <= {"info"}


def test_without_the_cache_the_app_is_asked_each_time(start: Start) -> None:
    """That is the default."""
    container = start(FRONT, *ONE_PROCESS).wait()
    page = Page(container, "Cache-Control:max-age=60")
    assert [page.ask().text for _ in "123"] == ["call 1", "call 2", "call 3"]
    assert "X-Cache-Status" not in page.ask().headers
    assert "uwsgi_cache_path" not in container.exec("nginx", "-T", "-e", "stderr", "-c", "/run/nginx.conf")
