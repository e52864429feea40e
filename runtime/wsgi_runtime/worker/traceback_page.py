"""Response of debug mode to an exception: the frames with their source lines, as Werkzeug renders them.

Werkzeug is the app's own, and is imported after an exception only. Without it, the traceback is plain text. The page
has no script, and its policy allows none: no console or prompt can be reached from it.
"""

import importlib
import traceback

PLAIN = [("Content-Type", "text/plain; charset=utf-8")]
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
HTML = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", POLICY)]

PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>{title}</title>
<link rel=icon href="data:,">
<style>
:root {{ color-scheme: light dark; font: 15px/1.4 sans-serif; }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 60rem; }}
h1, blockquote, .syntaxerror {{ font: 600 1.2rem/1.4 monospace; overflow-wrap: anywhere; white-space: pre-wrap; }}
h3 {{ font-size: 1rem; }}
h4 {{ margin: 1rem 0 .3rem; font-weight: normal; overflow-wrap: anywhere; }}
ul {{ margin: 0; padding: 0; list-style: none; }}
blockquote {{ margin: 1rem 0; }}
pre {{ margin: 0; font: 13px/1.5 monospace; white-space: pre-wrap; overflow-wrap: anywhere; }}
.source {{ padding: .3rem .6rem; background: #8881; }}
.source .current {{ background: #fb04; }}
.library .line:not(.current) {{ display: none; }}
.library .current {{ background: none; }}
.exc-divider {{ margin: 2rem 0 1rem; font-weight: 600; }}
</style>
<h1>{title}</h1>
{traceback}
</html>
"""


def response(error: BaseException) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of the response."""
    trace = error.__traceback__
    while trace and trace.tb_next and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next  # the container's own frames
    error = error.with_traceback(trace)
    try:
        tbtools, markupsafe = map(importlib.import_module, ("werkzeug.debug.tbtools", "markupsafe"))
        frames = tbtools.DebugTraceback(error).render_traceback_html()
        title = markupsafe.escape("".join(traceback.format_exception_only(error)).strip())
        return HTML, PAGE.format(title=title, traceback=frames).encode(errors="replace")
    except Exception:  # there is no Werkzeug, or a different one
        return PLAIN, "".join(traceback.format_exception(error)).encode(errors="replace")
