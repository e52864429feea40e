"""OpenAPI app that needs other versions of packages than the container has for itself."""

from importlib.metadata import version

from flask_openapi3 import Info, OpenAPI
from pydantic import BaseModel, Field

app = OpenAPI(__name__, info=Info(title="Pinned", version="1"))


class Query(BaseModel):
    """Query string of /versions."""

    package: str = Field(regex=r"[a-z-]+")


@app.get("/versions")
def versions(query: Query) -> dict[str, str]:
    """Return the installed version of a package."""
    return {query.package: version(query.package)}
