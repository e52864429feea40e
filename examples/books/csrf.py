"""Protection against cross-site request forgery (CSRF)."""

from urllib.parse import urlsplit

from flask import abort, request

MESSAGE = "This form was sent from another site."


def refuse_other_sites():
    """Answer 403 to a change that a page of another site asks for.

    Browsers set these two headers, and no page can change them, so forms need no token. A request with neither header
    comes from another program: it has no cookies that another site could misuse.
    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html#fetch-metadata-headers
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site:  # browsers send it over HTTPS, and to localhost
        if site not in ("same-origin", "none"):
            abort(403, MESSAGE)
    elif origin and urlsplit(origin).netloc != request.host:
        abort(403, MESSAGE)
