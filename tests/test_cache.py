"""What nginx keeps of the app's answers, and what it must never give to somebody else (RFC 9111, a shared cache)."""

import threading
import time
from collections.abc import Callable
from itertools import count

import pytest
import requests
from conftest import APPS, Container, until

Start = Callable[..., Container]
FRONT = f"--volume={APPS}/front:/app:ro"
numbers = count()


@pytest.fixture(scope="module")
def front(start: Start) -> Container:
    """One process, so that the app's counts are true."""
    return start(FRONT, "--env=WEB_CONCURRENCY=1").wait()


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


def test_a_stale_answer_serves_when_the_app_is_down_if_it_may(start: Start) -> None:
    """As stale-if-error says; without it the error shows."""
    container = start(FRONT, "--env=WEB_CONCURRENCY=1").wait()
    may = Page(container, "Cache-Control:max-age=1, stale-if-error=60")
    may_not = Page(container, "Cache-Control:max-age=1")
    assert (may.ask().text, may_not.ask().text) == ("call 1", "call 1")
    container.exec("touch", "/tmp/broken")
    time.sleep(2.1)
    answer = may.ask()
    assert (answer.text, answer.headers["X-Cache-Status"]) == ("call 1", "STALE")
    assert may_not.ask().status_code >= 500


def test_the_cache_stays_within_its_bound(front: Container) -> None:
    """It lies in memory, which is the container's."""
    for _ in range(50):
        Page(front, "Cache-Control:max-age=60", size="1000000").ask()
    until(lambda: int(front.exec("du", "-sk", "/dev/shm/nginx-cache").split()[0]) < 34 << 10, "the oldest are dropped")


def test_without_the_cache_the_app_is_asked_each_time(start: Start) -> None:
    """CACHE=off."""
    container = start(FRONT, "--env=WEB_CONCURRENCY=1", "--env=CACHE=off").wait()
    page = Page(container, "Cache-Control:max-age=60")
    assert [page.ask().text for _ in "123"] == ["call 1", "call 2", "call 3"]
    assert "X-Cache-Status" not in page.ask().headers
