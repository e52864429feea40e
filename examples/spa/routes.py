"""The API of the planets. uWSGI calls the `app` of this file."""

from flask import Flask, abort

app = Flask(__name__, static_folder=None)

PLANETS = {
    "mercury": {"name": "Mercury", "day_hours": 4222.6, "year_days": 88},
    "venus": {"name": "Venus", "day_hours": 2802, "year_days": 224.7},
    "earth": {"name": "Earth", "day_hours": 24, "year_days": 365.2},
    "mars": {"name": "Mars", "day_hours": 24.7, "year_days": 687},
    "jupiter": {"name": "Jupiter", "day_hours": 9.9, "year_days": 4331},
    "saturn": {"name": "Saturn", "day_hours": 10.7, "year_days": 10747},
    "uranus": {"name": "Uranus", "day_hours": 17.2, "year_days": 30589},
    "neptune": {"name": "Neptune", "day_hours": 16.1, "year_days": 59800},
}


@app.get("/api/planets")
def planets():
    """List the planets."""
    return [{"id": key, "name": planet["name"]} for key, planet in PLANETS.items()]


@app.get("/api/planets/<key>")
def planet(key):
    """Return a planet."""
    return PLANETS.get(key) or abort(404)


@app.get("/health")
def health():
    """Answer the container's health check."""
    return {"status": "ok"}
