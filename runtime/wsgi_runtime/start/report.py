"""The settings, for the status page and the documentation: `python -m wsgi_runtime.start.report` prints the table."""

from pydantic import SecretStr

from wsgi_runtime.start import sources
from wsgi_runtime.start.settings import Settings, names


def report(settings: Settings, values: dict[str, str]) -> list[dict[str, str]]:
    """Return name, value and origin of each setting. Secrets are hidden. `values` has the value of `auto`."""
    rows = []
    for name, value in settings:
        shown = values.get(name, "") + (" (auto)" if value == "auto" != values.get(name) else "")
        if isinstance(value, bool):
            shown = "on" if value else "off"
        elif isinstance(value, SecretStr):
            shown = "(hidden)"
        origin = sources.origin(names(name)) or ("profile" if name in settings.model_fields_set else "default")
        rows.append({"name": name, "value": shown, "origin": origin})
    return rows


def table() -> str:
    """Return the settings as the Markdown table of docs/settings.md."""
    rows = ["| name (alias) | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        alias = "".join(f" (`{alias}`)" for alias in names(name)[1:])
        default = {"None": "(none)", "": "(none)", "True": "on", "False": "off"}.get(str(field.default), field.default)
        rows.append(f"| `{name}`{alias} | {default} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
