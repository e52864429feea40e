"""Behind other proxies: Nginx takes client, scheme, host and identity from TRUSTED_PROXIES and from nobody else."""

from collections.abc import Callable

import pytest

from conftest import APPS, Container, until

Start = Callable[..., Container]
PROBE = f"--volume={APPS}/probe:/app:ro"
TRUSTED = "10.1.0.0/16, 192.0.2.7 ,2001:db8::/32"


def environ(container: Container, *headers: str) -> dict[str, str]:
    """Return the app's environment for a request with these headers."""
    return container.get("/echo", headers=dict(header.split(": ", 1) for header in headers)).json()["environ"]


@pytest.fixture(scope="module")
def gateway(distrusting: Container) -> str:
    """Address of this machine as a container sees it. A freshly started engine reports no Gateway of its bridge."""
    return environ(distrusting)["REMOTE_ADDR"]


@pytest.fixture(scope="module")
def trusting(start: Start, gateway: str) -> Container:
    """Container that trusts this machine, and networks that send no request."""
    return start(PROBE, f"--env=TRUSTED_PROXIES={gateway}, {TRUSTED}").wait()


@pytest.fixture(scope="module")
def distrusting(start: Start) -> Container:
    """Container that trusts only networks that send no request."""
    return start(PROBE, f"--env=TRUSTED_PROXIES={TRUSTED}").wait()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["X-Forwarded-For: 203.0.113.5"], {"REMOTE_ADDR": "203.0.113.5", "HTTP_X_FORWARDED_FOR": "203.0.113.5"}),
        (["X-Forwarded-For: 2001:db9::1"], {"REMOTE_ADDR": "2001:db9::1", "HTTP_X_REAL_IP": "2001:db9::1"}),
        # The client is the last address that is not trusted.
        (["X-Forwarded-For: 203.0.113.5, 10.1.2.3, 192.0.2.7"], {"REMOTE_ADDR": "203.0.113.5"}),
        # The client can forge the addresses before its own.
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
def test_proxy_headers_reach_the_app_from_a_trusted_proxy_only(
    trusting: Container, distrusting: Container, headers: list[str], expected: dict[str, str | None]
) -> None:
    trusted = environ(trusting, *headers)
    assert {name: trusted.get(name) for name in expected} == expected
    untrusted = environ(distrusting, *headers)
    plain = environ(distrusting, *(header for header in headers if header.startswith("Host:")))
    different = {name for name in untrusted.keys() | plain.keys() if untrusted.get(name) != plain.get(name)}
    assert different <= {"HTTP_X_REQUEST_ID", "REMOTE_PORT", "wsgi.input", "uwsgi.core"}


def test_log_response_and_rate_limit_use_the_client_and_request_id_of_a_trusted_proxy(
    start: Start, gateway: str
) -> None:
    container = start(PROBE, f"--env=TRUSTED_PROXIES={gateway}", "--env=RATE_LIMIT=1r/m").wait()
    answers = {}
    for client in ("203.0.113.5", "203.0.113.6", "2001:db9::1", "2001:db9:0:1::1"):
        answers[client] = container.get("/echo", headers={"X-Forwarded-For": client, "X-Request-ID": f"id-of-{client}"})
        assert answers[client].status_code == 200
        assert answers[client].headers["X-Request-ID"] == f"id-of-{client}"

    def logged() -> dict[object, object]:
        return {line["request_id"]: line["client"] for line in container.lines if "client" in line}

    expected = {f"id-of-{client}": client for client in answers}
    until(lambda: expected.items() <= logged().items(), "the log has the clients and request ids")
    # Each client may send one request and a burst of one; addresses of one /64 count as one client.
    statuses = [
        container.get("/echo", headers={"X-Forwarded-For": client}).status_code
        for client in ("203.0.113.5", "203.0.113.5", "2001:db9::2", "2001:db9::3", "2001:db9:0:1::9")
    ]
    assert statuses == [200, 429, 200, 429, 200]


def test_requests_over_the_rate_limit_get_a_429_with_retry_after_except_the_health_check(start: Start) -> None:
    container = start(PROBE, "--env=RATE_LIMIT=5r/m").wait()
    answers = [container.get("/echo") for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 5 <= len(refused) <= 7
    assert refused[0].headers["Retry-After"] == "1"
    assert refused[0].headers["X-Request-ID"] in refused[0].text
    assert container.get("/echo", headers={"Accept": "application/json"}).json()["status"] == 429
    assert all(container.get("/health").status_code != 429 for _ in range(20))
