"""PUT, PATCH and DELETE for HTML forms."""

from flask import Flask


class App(Flask):
    """Flask app whose forms can name another method: `<input type="hidden" name="_method" value="DELETE">`."""

    def create_url_adapter(self, request):
        """Change the method of a request before its route is looked up."""
        if request and request.method == "POST":
            method = request.form.get("_method")
            if method in ("PUT", "PATCH", "DELETE"):
                request.environ["REQUEST_METHOD"] = request.method = method
        return super().create_url_adapter(request)
