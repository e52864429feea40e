"""Bookshelf: the seven routes of a book. uWSGI calls the `app` of this file."""

import os

import psycopg
from flask import abort, flash, make_response, redirect, render_template, request, url_for
from psycopg.errors import UniqueViolation
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

import books
import sessions
from csrf import refuse_other_sites
from forms import validate
from methods import App
from responses import error_page, submitted, vary, wants_json

app = App(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
app.session_interface = sessions.Sessions()
app.register_blueprint(sessions.routes)
app.before_request(refuse_other_sites)
app.after_request(vary)
app.register_error_handler(HTTPException, error_page)
app.jinja_env.globals |= {"STATUSES": books.STATUSES, "ORDERS": books.ORDERS}


@app.errorhandler(psycopg.OperationalError)
def database_down(error):
    """Answer 503: the request was fine, and may succeed later."""
    app.logger.error("database: %s", error)
    return error_page(ServiceUnavailable("The database does not answer. Please try again in a minute."))


@app.errorhandler(psycopg.DataError)
def not_storable(_):
    """Answer 400 to a value that PostgreSQL cannot represent, for example a page number of 30 digits."""
    return error_page(BadRequest())


@app.get("/")
def root():
    """The shelf is the start page."""
    return redirect(url_for("index"))


@app.get("/health")
def health():
    """Answer the container's health check. The app is healthy without its database: restarting it would not help."""
    return {"status": "ok"}


@app.get("/books")
def index():
    """List the books: `search`, `order` and `page` choose which. The order is kept in a cookie."""
    words = request.args.get("search", "").strip()
    order = request.args.get("order") or request.cookies.get("order")
    order = order if order in books.ORDERS else "title"
    page = max(request.args.get("page", 1, type=int), 1)
    found, more = books.search(words, order, page)
    following = url_for("index", search=words or None, order=order, page=page + 1) if more else None
    if wants_json():
        return {"books": found, "next": following}
    sessions.count_visit()
    response = make_response(
        render_template("index.html", books=found, words=words, order=order, page=page, following=following)
    )
    response.set_cookie("order", order, max_age=365 * 86400, secure=request.is_secure, httponly=True, samesite="Lax")
    return response


@app.get("/books/<int:number>")
def show(number):
    """Show a book."""
    book = books.find(number) or abort(404)
    return book if wants_json() else render_template("show.html", book=book)


@app.get("/books/new")
def new():
    """Form for a new book."""
    return render_template("form.html", book={"status": "wanted"}, errors={})


@app.post("/books")
def create():
    """Store a new book."""
    values, errors = validate(submitted())
    book = save(lambda: books.insert(values), errors)
    if errors:
        return invalid(values, errors)
    location = url_for("show", number=book["id"])
    if wants_json():
        return book, 201, {"Location": location}
    flash(f"“{book['title']}” is on the shelf.", "success")
    return redirect(location, 303)


@app.get("/books/<int:number>/edit")
def edit(number):
    """Form with the values of a book."""
    return render_template("form.html", book=books.find(number) or abort(404), errors={})


@app.route("/books/<int:number>", methods=["PUT", "PATCH"])
def update(number):
    """Replace a book (PUT), or some of its values (PATCH)."""
    book = books.find(number) or abort(404)
    fields = submitted()
    values, errors = validate(book | fields if request.method == "PATCH" else fields)
    book = save(lambda: books.update(number, values), errors)
    if errors:
        return invalid(values | {"id": number}, errors)
    if not book:  # removed since it was read
        abort(404)
    if wants_json():
        return book
    flash(f"“{book['title']}” is saved.", "success")
    return redirect(url_for("show", number=number), 303)


@app.delete("/books/<int:number>")
def destroy(number):
    """Remove a book."""
    book = books.delete(number) or abort(404)
    if wants_json():
        return "", 204
    flash(f"“{book['title']}” is removed.", "info")
    return redirect(url_for("index"), 303)


def save(write, errors):
    """Return what `write` returns, unless there are errors. A title that the shelf has is one."""
    if not errors:
        try:
            return write()
        except UniqueViolation:
            errors["title"] = "This author's book is on the shelf already."
    return None


def invalid(values, errors):
    """Return the response to wrong values: the form again, with a message at each field."""
    if wants_json():
        return {"errors": errors}, 422
    flash("Nothing is saved yet: see the fields below.", "error")
    return render_template("form.html", book=values, errors=errors), 422
