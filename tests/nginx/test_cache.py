"""The cache of responses (CACHE=on): RFC 9111 for a shared cache."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from itertools import count

import pytest
import requests

from conftest import APPS, DEADLINE, Container, docker, until
from wsgi_runtime.start import nginx_memory

Start = Callable[..., Container]
# One process, so that the app's counts are complete.
SCRIPTED = (f"--volume={APPS}/scripted:/app:ro", "--env=PROCESSES=1")
SESSION = requests.Session()
"""Requests one after another use one connection: Nginx stores a response before it reads the next request there."""
SESSION.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
numbers = count()


@pytest.fixture(scope="module")
def scripted(start: Start) -> Container:
    return start(*SCRIPTED, "--env=CACHE=on").wait()


class Page:
    """Path that no other test requests, with the response headers and options that the app has for it."""

    def __init__(self, container: Container, *headers: str, **options: str) -> None:
        self.container = container
        self.path = f"/page{next(numbers)}"
        self.url = container.url(self.path)
        self.query = {"header": headers, **options}

    def request(self, method: str = "GET", **headers: str) -> requests.Response:
        """Return the response; underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return SESSION.request(
            method, self.url, params=self.query, headers=named, timeout=DEADLINE, allow_redirects=False
        )

    def expire(self, **headers: str) -> requests.Response:
        """Send requests until the cached response has expired; return the first response that is not a hit."""
        responses: list[requests.Response] = []

        def expired() -> bool:
            responses.append(self.request(**headers))
            return responses[-1].headers.get("X-Cache-Status") != "HIT"

        until(expired, "the cached response expires")
        return responses[-1]

    @property
    def calls(self) -> int:
        """Number of requests that reached the app."""
        return int(self.container.get(f"/calls?path={self.path}").text)


CACHED = [
    ("Cache-Control:max-age=60",),
    ("Cache-Control:public, max-age=60",),
    ("Cache-Control:s-maxage=60, max-age=0",),
    ("Cache-Control:max-age=60", "Vary:Accept-Encoding"),
    ("Expires:Thu, 31 Dec 2099 23:59:59 GMT",),
]


@pytest.mark.parametrize("headers", CACHED, ids=" ".join)
def test_a_response_that_the_app_marks_as_cacheable_is_cached(scripted: Container, headers: tuple[str, ...]) -> None:
    page = Page(scripted, *headers)
    first, second = page.request(), page.request()
    assert (first.headers["X-Cache-Status"], second.headers["X-Cache-Status"]) == ("MISS", "HIT")
    assert (first.text, second.text) == ("call 1", "call 1")
    assert page.calls == 1


NOT_CACHED = [
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


@pytest.mark.parametrize("headers", NOT_CACHED, ids=" ".join)
def test_a_response_that_the_app_does_not_mark_as_cacheable_is_not_cached(
    scripted: Container, headers: tuple[str, ...]
) -> None:
    page = Page(scripted, *headers)
    assert [page.request().text for _ in range(3)] == ["call 1", "call 2", "call 3"]


CREDENTIALS = [
    {"Cookie": "session=ada"},
    {"Authorization": "Bearer ada"},
    {"Cookie": "a=1", "Authorization": "Basic eA=="},
]


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=str)
def test_requests_with_credentials_bypass_the_cache(scripted: Container, credentials: dict[str, str]) -> None:
    page = Page(scripted, "Cache-Control:max-age=60", echo="HTTP_COOKIE")
    assert page.request(**credentials).text.startswith("call 1")
    assert page.request().text == "call 2 "
    assert page.request(**credentials).text.startswith("call 3")
    assert page.request().text == "call 2 "


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_other_methods_than_get_and_head_bypass_the_cache(scripted: Container, method: str) -> None:
    page = Page(scripted, "Cache-Control:max-age=60")
    assert page.request(method).text == "call 1"
    assert page.request().text == "call 2"
    assert page.request(method).text == "call 3"
    assert page.request().text == "call 2"


def test_head_and_get_have_separate_cached_responses(scripted: Container) -> None:
    page = Page(scripted, "Cache-Control:max-age=60")
    assert page.request("HEAD").text == ""
    assert page.request().text == "call 2"
    assert page.request("HEAD").headers["X-Cache-Status"] == "HIT"


@pytest.mark.parametrize("name", ["Host", "Accept-Language"])
def test_each_host_and_each_value_of_a_header_in_vary_has_its_own_cached_response(
    scripted: Container, name: str
) -> None:
    variable = f"HTTP_{name.upper().replace('-', '_')}"
    page = Page(scripted, "Cache-Control:max-age=60", "Vary:Accept-Language", echo=variable)
    for value in ("one.example", "two.example") * 2:
        assert page.request(**{name: value}).text.endswith(value)
    assert page.calls == 2


def test_query_strings_in_another_order_have_their_own_cached_response(scripted: Container) -> None:
    page = Page(scripted)
    queries = [f"header=Cache-Control:max-age=60&{rest}" for rest in ("a=1&b=2", "b=2&a=1")]
    assert [SESSION.get(page.url, params=query).text for query in queries] == ["call 1", "call 2"]


@pytest.mark.parametrize("status", ["200", "301", "404", "410"])
def test_any_final_status_is_cached_if_the_app_marks_it_as_cacheable(scripted: Container, status: str) -> None:
    page = Page(scripted, "Cache-Control:max-age=60", status=status)
    assert [page.request().text for _ in "12"] == ["call 1"] * 2


def test_304_and_206_responses_of_the_app_reach_the_client_and_are_not_cached(scripted: Container) -> None:
    for headers in ((), ("Cache-Control:max-age=60",)):
        page = Page(scripted, 'ETag:"a"', *headers)
        assert page.request(If_None_Match='"a"').status_code == 304
        assert page.request(Range="bytes=0-3").text == "part"
        assert page.request().text == "call 3"


def test_conditional_requests_are_answered_from_the_cache(scripted: Container) -> None:
    page = Page(scripted, "Cache-Control:max-age=60", 'ETag:"a"')
    page.request()
    assert page.request(If_None_Match='"a"').status_code == 304
    assert page.request(If_None_Match='"b"').text == "call 1"
    assert page.calls == 1


def test_an_expired_response_is_revalidated_by_its_own_validator_and_not_the_clients(scripted: Container) -> None:
    page = Page(scripted, "Cache-Control:max-age=1", 'ETag:"a"')
    assert page.request().text == "call 1"
    response = page.expire(If_None_Match='"older"')
    assert (response.status_code, response.text, response.headers["X-Cache-Status"]) == (200, "call 1", "REVALIDATED")
    assert page.calls == 2


def test_stale_while_revalidate_serves_the_stale_response_while_one_request_renews_it(scripted: Container) -> None:
    page = Page(scripted, "Cache-Control:max-age=1, stale-while-revalidate=60", sleep="0.5")
    assert page.request().text == "call 1"
    response = page.expire()
    assert (response.text, response.headers["X-Cache-Status"]) == ("call 1", "STALE")
    with ThreadPoolExecutor(20) as clients:
        list(clients.map(lambda _: until(lambda: page.request().text == "call 2", "it is renewed"), range(20)))
    assert page.calls == 2


def test_stale_if_error_serves_the_stale_response_when_the_app_crashes(start: Start) -> None:
    container = start(*SCRIPTED, "--env=CACHE=on").wait()
    with_it = Page(container, "Cache-Control:max-age=1, stale-if-error=60")
    without_it = Page(container, "Cache-Control:max-age=1")
    assert (with_it.request().text, without_it.request().text) == ("call 1", "call 1")
    container.exec("touch", "/tmp/broken")
    response = with_it.expire()
    assert (response.text, response.headers["X-Cache-Status"]) == ("call 1", "STALE")
    assert without_it.expire().status_code >= 500


def test_an_error_response_of_the_app_is_not_replaced_by_a_stale_one(scripted: Container) -> None:
    """Nginx can't limit the replacement to responses with stale-if-error."""
    page = Page(scripted, "Cache-Control:max-age=1, stale-if-error=60")
    page.request()
    scripted.exec("sh", "-c", "printf 503 > /tmp/broken")
    try:
        until(lambda: page.request().status_code == 503, "the cached response expires")
    finally:
        scripted.exec("rm", "/tmp/broken")


LARGE = [
    pytest.param("1000000", 90, (), id="90 pages of 1 MB"),
    pytest.param("100000000", 1, (), id="100 MB"),
    pytest.param("100000000", 1, ("no_length",), id="100 MB without a Content-Length"),
]


@pytest.mark.parametrize(("size", "pages", "options"), LARGE)
def test_large_cacheable_responses_are_complete_and_not_cached(
    scripted: Container, size: str, pages: int, options: tuple[str, ...]
) -> None:
    for _ in range(pages):
        page = Page(scripted, "Cache-Control:max-age=60", size=size, **dict.fromkeys(options, "1"))
        assert len(page.request().content) == len("call 1") + int(size)
    assert page.request().headers["X-Cache-Status"] == "MISS"


def test_a_response_without_content_length_is_not_cached(scripted: Container) -> None:
    """Nginx can't tell whether it is complete."""
    page = Page(scripted, "Cache-Control:max-age=60", no_length="1", die_after="1", size="100000")
    assert "call 1" in page.request().text
    assert "call 2" in page.request().text


def test_a_response_shorter_than_its_content_length_is_not_cached(scripted: Container) -> None:
    page = Page(scripted, "Cache-Control:max-age=60", die_after="1", size="90000")
    for _ in range(2):
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            page.request()
    assert page.calls == 2


@pytest.mark.parametrize("memory", [128 << 20, 256 << 20, 1 << 30, 24 << 30])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_cache_is_bounded_by_its_number_of_keys(memory: int, in_memory: bool) -> None:
    """Nginx enforces max_size only every 10 s, but the size of keys_zone at once."""
    spool = nginx_memory.Spool(in_memory, 0)
    sizes = nginx_memory.sizes(memory, True, False, 4, 65536, 10 << 20, spool)
    keys = int(sizes["CACHE_ZONE"].removesuffix("k")) * 1024 // 128
    largest = next(size for size in range(100_000, 0, -1) if re.fullmatch(sizes["CACHE_LENGTH"], str(size)))
    assert keys * largest <= (memory // 8 if in_memory else 600 << 20)
    assert keys > int(sizes["REQUESTS_MAX"]) or keys > 4096


def test_a_full_cache_drops_its_oldest_responses(start: Start) -> None:
    container = start(*SCRIPTED, "--env=CACHE=on", "--memory=128m", "--tmpfs=/tmp").wait()
    base = container.url("/")
    urls = [f"{base}{number}?header=Cache-Control:max-age=600&size=5000" for number in range(2000)]
    with ThreadPoolExecutor(8) as clients:
        assert {response.status_code for response in clients.map(SESSION.get, urls)} == {200}
    assert [SESSION.get(url).headers["X-Cache-Status"] for url in (urls[-1], urls[0])] == ["HIT", "MISS"]
    used = int(container.exec("du", "-sk", "/tmp/nginx-cache").split()[0])
    assert 2 << 10 < used < 24 << 10
    assert container.running


def test_each_container_starts_with_an_empty_cache_of_its_own(start: Start) -> None:
    """The containers of a Kubernetes pod share /dev/shm."""
    first = start(*SCRIPTED, "--env=CACHE=on", "--ipc=shareable").wait()
    second = start(*SCRIPTED, "--env=CACHE=on", f"--ipc=container:{first.id}").wait()
    options = {"params": {"header": "Cache-Control:max-age=60"}, "headers": {"Host": "one.example"}}
    for container in first, second:
        assert container.get("/same", **options).headers["X-Cache-Status"] == "MISS"
    docker("restart", first.id)
    assert first.wait().get("/same", **options).headers["X-Cache-Status"] == "MISS"


IDENTITIES = ["X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups"]


@pytest.fixture(scope="module")
def behind_proxy(start: Start) -> Container:
    """Container that trusts the proxy headers of every client."""
    return start(*SCRIPTED, "--env=CACHE=on", "--env=TRUSTED_PROXIES=0.0.0.0/0").wait()


@pytest.mark.parametrize("value", ["ada", "0"])
@pytest.mark.parametrize("name", IDENTITIES)
def test_requests_with_an_identity_from_a_trusted_proxy_bypass_the_cache(
    behind_proxy: Container, name: str, value: str
) -> None:
    page = Page(behind_proxy, "Cache-Control:max-age=60")
    assert page.request(**{name: value}).text == "call 1"
    assert page.request().text == "call 2"
    assert page.request(**{name: value}).text == "call 3"
    assert page.request().text == "call 2"


def test_each_url_prefix_has_its_own_cached_response(behind_proxy: Container) -> None:
    page = Page(behind_proxy, "Cache-Control:max-age=60")
    for _ in range(2):
        assert page.request(X_Forwarded_Prefix="/one").text == "call 1"
        assert page.request(X_Forwarded_Prefix="/two").text == "call 2"


@pytest.mark.parametrize("body", [b"a", iter([b"a"])], ids=["Content-Length", "chunked"])
def test_a_get_with_a_body_bypasses_the_cache(scripted: Container, body: object) -> None:
    """The body is not part of the cache key."""
    page = Page(scripted, "Cache-Control:max-age=60")
    assert page.request().text == "call 1"
    assert scripted.get(page.path, params=page.query, data=body).text == "call 2"
    assert page.request().text == "call 1"


def test_a_request_target_of_16_kb_is_cached_and_logs_no_error(scripted: Container) -> None:
    old = len(scripted.lines)
    page = Page(scripted, "Cache-Control:max-age=60", long="a" * 16_000)
    assert [page.request().text for _ in "12"] == ["call 1"] * 2
    until(lambda: len(scripted.lines) >= old + 2, "both requests are logged")
    assert {line["level"] for line in scripted.lines[old:]} <= {"info"}


def test_the_cache_is_off_by_default(start: Start) -> None:
    container = start(*SCRIPTED).wait()
    page = Page(container, "Cache-Control:max-age=60")
    assert [page.request().text for _ in "123"] == ["call 1", "call 2", "call 3"]
    assert "X-Cache-Status" not in page.request().headers
