"""Content Security Policy of the container's own pages, which contain their style and script."""

import re
from base64 import b64encode
from hashlib import sha256


def sources(html: str, element: str) -> list[str]:
    """Return the hash sources that allow the inline `element`s of a page (CSP Level 3, 2.3.1).

    Elements with attributes are not found.
    """
    texts = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts]
