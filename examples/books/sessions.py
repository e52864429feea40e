"""Sessions: a signed cookie holds the reader's name and the number of visits."""

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface

from forms import required
from responses import submitted

routes = Blueprint("session", __name__, url_prefix="/session")


class Sessions(SecureCookieSessionInterface):
    """Sessions whose cookie is sent over HTTPS only, if it was set over HTTPS."""

    def get_cookie_secure(self, app):
        """Return True over HTTPS."""
        return request.is_secure


def count_visit():
    """Count a visit of this browser."""
    session["visits"] = session.get("visits", 0) + 1


@routes.get("/new")
def new():
    """Form that asks for the reader's name."""
    return render_template("session.html", name="", errors={})


@routes.post("")
def create():
    """Log in. A real app would check a password here."""
    errors = {}
    name = required(submitted().get("name"), 50, errors, "name")
    if errors:
        return render_template("session.html", name=name, errors=errors), 422
    session["name"] = name
    flash(f"Welcome, {name}.", "success")
    return redirect(url_for("index"), 303)


@routes.delete("")
def destroy():
    """Log out: remove the name and the number of visits."""
    session.clear()
    flash("You are logged out.", "info")
    return redirect(url_for("index"), 303)
