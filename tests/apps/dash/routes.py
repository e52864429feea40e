"""Dash app: a page of inline scripts, a callback to the server and a chart."""

from dash import Dash, Input, Output, dcc, html

dash = Dash(__name__, title="Sales")
dash.layout = html.Main(
    [
        dcc.Input(id="name", value="Ada"),
        html.P(id="greeting"),
        dcc.Graph(id="chart", figure={"data": [{"y": [1, 3, 2]}]}),
    ]
)
app = dash.server


@dash.callback(Output("greeting", "children"), Input("name", "value"))
def greet(name: str) -> str:
    """Greet by name."""
    return f"Hello {name}"


# Otherwise requests that come while Dash sets itself up are answered with 500: https://github.com/plotly/dash/issues/3971
app.test_client().get("/")
