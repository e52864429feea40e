"""Dashboard of the climate of some cities. uWSGI calls the `app` of this file."""

from dash import Dash, Input, Output, callback, dcc, html

from climate import CITIES, MEASURES, MONTHS

COLORS = dict(zip(CITIES, ("#2563eb", "#ea580c", "#059669", "#9333ea", "#dc2626"), strict=True))
LAYOUT = {
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#475569"},
    "hovermode": "x unified",
    "legend": {"orientation": "h", "y": 1.1},
    "xaxis": {"automargin": True},
    "yaxis": {"automargin": True, "gridcolor": "#e2e8f0", "zerolinecolor": "#94a3b8"},
}

dash = Dash(__name__, title="Climate", update_title=None)
app = dash.server
dash.layout = html.Main(
    [
        html.H1("Climate"),
        html.Div(
            [
                html.Label("Cities", htmlFor="cities"),
                dcc.Dropdown(list(CITIES), ["Lisbon", "Oslo"], id="cities", multi=True, clearable=False),
                html.Label("Measure", htmlFor="measure"),
                dcc.RadioItems(list(MEASURES), next(iter(MEASURES)), id="measure", inline=True),
            ],
            className="controls",
        ),
        html.Div(id="cards", className="cards"),
        html.Div(dcc.Graph(id="chart", config={"displayModeBar": False}, responsive=True), className="chart"),
    ]
)


@callback(Output("chart", "figure"), Output("cards", "children"), Input("cities", "value"), Input("measure", "value"))
def show(cities, measure):
    """Draw the chosen cities. The browser sends all that is needed, so any process can answer."""
    unit, kind, summary, label = MEASURES[measure]
    values = {city: CITIES[city][measure] for city in cities or []}
    traces = [
        {"type": kind, "name": city, "x": MONTHS, "y": row, "marker": {"color": COLORS[city]}}
        for city, row in values.items()
    ]
    cards = [
        html.Div([html.H2(city), html.Strong(f"{summary(row):.0f} {unit}"), html.Span(label)])
        for city, row in values.items()
    ]
    return {"data": traces, "layout": LAYOUT | {"yaxis": LAYOUT["yaxis"] | {"ticksuffix": f" {unit}"}}}, cards


# Dash sets itself up at its first request, and answers requests that come meanwhile with 500:
# https://github.com/plotly/dash/issues/3971. So a worker sends itself a request before it serves.
app.test_client().get("/")
