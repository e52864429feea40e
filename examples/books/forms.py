"""Validation of what people type."""

from books import STATUSES


def text(value):
    """Return a submitted value as text that PostgreSQL can store, without white space around it."""
    return "" if value is None else str(value).encode(errors="replace").decode().replace("\0", "").strip()


def required(value, longest, errors, field):
    """Return the text of a required field; add a message to `errors` if it is missing or too long."""
    value = text(value)
    if not value:
        errors[field] = f"Enter the {field}."
    elif len(value) > longest:
        errors[field] = f"Use at most {longest} characters."
    return value


def validate(fields):
    """Return the values of a book, and a message for each field that is wrong."""
    errors = {}
    values = {
        "title": required(fields.get("title"), 200, errors, "title"),
        "author": required(fields.get("author"), 200, errors, "author"),
        "year": text(fields.get("year")),
        "status": text(fields.get("status")) or "wanted",
        "notes": text(fields.get("notes")),
    }
    if not values["year"]:
        values["year"] = None
    elif len(values["year"]) <= 4 and values["year"].isdecimal():
        values["year"] = int(values["year"])
    else:
        errors["year"] = "Enter a year of up to four digits, such as 1931."
    if values["status"] not in STATUSES:
        errors["status"] = "Choose one of the three."
    if len(values["notes"]) > 5000:
        errors["notes"] = "Use at most 5000 characters."
    return values, errors
