"""JSON beside HTML: the same URLs for programs and for people."""

from flask import abort, render_template, request


def wants_json():
    """Return True if the client prefers JSON. One that accepts anything gets HTML."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def submitted():
    """Return the fields of a form, or of a JSON object, as a dict."""
    fields = request.get_json() if request.is_json else request.form.to_dict()
    if not isinstance(fields, dict):
        abort(400, "The body must be a JSON object.")
    return fields


def error_page(error):
    """Return the response to an HTTP error."""
    if wants_json():
        return {"error": error.description}, error.code
    return render_template("error.html", error=error), error.code


def vary(response):
    """Tell caches that the response depends on the header Accept."""
    response.vary.add("Accept")
    return response
