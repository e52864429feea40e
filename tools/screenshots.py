"""Take the pictures of README from the real pages: the landing page, and the status page under load.

Starts a container of IMAGE, and sends about 70 requests a second for WARM_UP_SECONDS, so that the charts have points.
"""

import os
import subprocess
import threading
import time
from pathlib import Path

import requests
from playwright.sync_api import sync_playwright

IMAGE = os.environ.get("IMAGE", "wsgi")
FOLDER = Path(__file__).parent.parent / "docs/images"
WARM_UP_SECONDS = 240
PAUSE_SECONDS = 0.2
"""Time between two requests of a client."""

PATHS = ("/", "/hello", "/hello/ada", "/static/style.css", "/no-such-page")


def docker(*words: str) -> str:
    """Run a docker command; return its output."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


def ask(address: str, stop: threading.Event) -> None:
    """Send one request after another until `stop` is set."""
    with requests.Session() as session:
        while not stop.is_set():
            for path in PATHS:
                session.get(f"http://{address}{path}", timeout=10)
                stop.wait(PAUSE_SECONDS)


def main() -> None:
    """Write landing-light.png, landing-dark.png, status-light.png and status-dark.png."""
    container = docker(
        *("run", "--detach", "--publish=127.0.0.1::80", "--publish=127.0.0.1::9090"),
        *("--env=PROCESSES=4", "--env=APP_VERSION=1.0.0", IMAGE),
    )
    stop = threading.Event()
    try:
        pages = {"landing": docker("port", container, "80"), "status": docker("port", container, "9090")}
        while subprocess.run(["docker", "exec", container, "healthcheck"], stdout=subprocess.DEVNULL).returncode:
            time.sleep(PAUSE_SECONDS)
        clients = [threading.Thread(target=ask, args=(pages["landing"], stop)) for _ in range(16)]
        for client in clients:
            client.start()
        time.sleep(WARM_UP_SECONDS)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for theme in ("light", "dark"):
                for name, address in pages.items():
                    size = {"width": 1000, "height": 760}
                    page = browser.new_page(viewport=size, color_scheme=theme)
                    page.goto(f"http://{address}{'/status' if name == 'status' else '/'}", wait_until="networkidle")
                    page.screenshot(path=FOLDER / f"{name}-{theme}.png")
            browser.close()
    finally:
        stop.set()
        docker("rm", "--force", container)


if __name__ == "__main__":
    main()
