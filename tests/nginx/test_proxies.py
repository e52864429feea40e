"""Behind other proxies: who is believed what, and that all who care see the same."""

from collections.abc import Callable

import pytest
import requests

from conftest import APPS, Container, until

Start = Callable[..., Container]
PROBE = f"--volume={APPS}/probe:/app:ro"
TRUSTED = "10.1.0.0/16, 192.0.2.7 ,2001:db8::/32"


def seen(container: Container, *headers: str) -> dict[str, str]:
    """What the app sees of a request with these headers."""
    sent = dict(header.split(": ", 1) for header in headers)
    return container.get("/echo", headers=sent).json()["environ"]


@pytest.fixture(scope="module")
def gateway(distrusting: Container) -> str:
    """Address of this machine as a container sees it. A freshly started engine reports no Gateway of its bridge."""
    return seen(distrusting)["REMOTE_ADDR"]


@pytest.fixture(scope="module")
def trusting(start: Start, gateway: str) -> Container:
    """It trusts this machine, and some networks that are not here."""
    return start(PROBE, f"--env=TRUSTED_PROXIES={gateway}, {TRUSTED}").wait()


@pytest.fixture(scope="module")
def distrusting(start: Start) -> Container:
    """It trusts nobody who is here."""
    return start(PROBE, f"--env=TRUSTED_PROXIES={TRUSTED}").wait()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["X-Forwarded-For: 203.0.113.5"], {"REMOTE_ADDR": "203.0.113.5", "HTTP_X_FORWARDED_FOR": "203.0.113.5"}),
        (["X-Forwarded-For: 2001:db9::1"], {"REMOTE_ADDR": "2001:db9::1", "HTTP_X_REAL_IP": "2001:db9::1"}),
        # A chain: those that are trusted are passed over, from the right.
        (["X-Forwarded-For: 203.0.113.5, 10.1.2.3, 192.0.2.7"], {"REMOTE_ADDR": "203.0.113.5"}),
        # What stands left of the first that is not trusted may be made up.
        (["X-Forwarded-For: 198.51.100.1, 203.0.113.5, 10.1.2.3"], {"REMOTE_ADDR": "203.0.113.5"}),
        (["X-Forwarded-Proto: https"], {"wsgi.url_scheme": "https", "HTTPS": "on", "HTTP_X_FORWARDED_PROTO": "https"}),
        (["X-Forwarded-Proto: http, https"], {"wsgi.url_scheme": "https"}),
        (["X-Forwarded-Proto: https, http"], {"wsgi.url_scheme": "http"}),
        (["X-Forwarded-Proto: gopher"], {"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "http"}),
        (["X-Forwarded-Host: shop.example"], {"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_HOST": "shop.example"}),
        (["X-Forwarded-Host: shop.example:8443"], {"HTTP_HOST": "shop.example:8443"}),
        (["X-Forwarded-Host: [2001:db8::1]:8443"], {"HTTP_HOST": "[2001:db8::1]:8443"}),
        (["X-Forwarded-Host: a.example, shop.example"], {"HTTP_HOST": "shop.example"}),
        (["X-Forwarded-Host: <script>", "Host: real.example"], {"HTTP_HOST": "real.example"}),
        (["X-Request-ID: abc-123"], {"HTTP_X_REQUEST_ID": "abc-123"}),
        (["X-Forwarded-User: ada", "X-Forwarded-Email: a@x.example"], {"HTTP_X_FORWARDED_USER": "ada"}),
        (["X-Forwarded-Prefix: /shop"], {"HTTP_X_FORWARDED_PREFIX": "/shop"}),
        (["X-Forwarded-Groups: admins"], {"HTTP_X_FORWARDED_GROUPS": "admins"}),
        (
            ["Forwarded: for=203.0.113.5;proto=https", "Remote-User: ada"],
            {"HTTP_FORWARDED": None, "HTTP_REMOTE_USER": None},
        ),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else "",
)
def test_a_trusted_proxy_is_believed_and_nobody_else(
    trusting: Container, distrusting: Container, headers: list[str], expected: dict[str, str | None]
) -> None:
    """From the same peer, with the same headers: the one is told, the other isn't."""
    told = seen(trusting, *headers)
    assert {name: told.get(name) for name in expected} == expected
    untold = seen(distrusting, *headers)
    plain = seen(distrusting, *(header for header in headers if header.startswith("Host:")))
    changes = {"HTTP_X_REQUEST_ID", "REMOTE_PORT", "wsgi.input", "uwsgi.core"}
    assert {k: v for k, v in untold.items() if k not in changes} == {k: v for k, v in plain.items() if k not in changes}


def test_app_log_answer_and_rate_limit_agree(start: Start, gateway: str) -> None:
    """On who asked, and on the request's id."""
    container = start(PROBE, f"--env=TRUSTED_PROXIES={gateway}", "--env=RATE_LIMIT=1r/m").wait()
    answers = {}
    for client in ("203.0.113.5", "203.0.113.6", "2001:db9::1", "2001:db9:0:1::1"):
        answers[client] = container.get("/echo", headers={"X-Forwarded-For": client, "X-Request-ID": f"id-of-{client}"})
        assert answers[client].status_code == 200
        assert answers[client].headers["X-Request-ID"] == f"id-of-{client}"

    def logged() -> dict[object, object]:
        return {line["request_id"]: line["client"] for line in container.lines if "client" in line}

    expected = {f"id-of-{client}": client for client in answers}
    until(lambda: expected.items() <= logged().items(), "the log has the same")
    # The limit is one and a burst of one: the third is over it, and its /64 counts as one client.
    statuses = [
        container.get("/echo", headers={"X-Forwarded-For": client}).status_code
        for client in ("203.0.113.5", "203.0.113.5", "2001:db9::2", "2001:db9::3", "2001:db9:0:1::9")
    ]
    assert statuses == [200, 429, 200, 429, 200]


def test_many_at_once_are_told_when_to_come_again(start: Start) -> None:
    """With the id, in the form that they accept; the health check is not counted."""
    container = start(PROBE, "--env=RATE_LIMIT=5r/m").wait()
    answers = [container.get("/echo") for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 5 <= len(refused) <= 7
    assert refused[0].headers["Retry-After"] == "1"
    assert refused[0].headers["X-Request-ID"] in refused[0].text
    assert (
        requests.get(container.url("/echo"), headers={"Accept": "application/json"}, timeout=5).json()["status"] == 429
    )
    assert all(container.get("/health").status_code != 429 for _ in range(20))
