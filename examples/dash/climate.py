"""Climate of some cities: an approximate value for each month."""

from statistics import mean

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

MEASURES = {"Temperature": ("°C", "scatter", mean, "on average"), "Rain": ("mm", "bar", sum, "in a year")}
"""Unit, type of chart, and how a year is summarized."""

CITIES = {
    "Lisbon": {
        "Temperature": [12, 13, 15, 16, 19, 21, 24, 24, 22, 19, 15, 12],
        "Rain": [90, 79, 63, 67, 51, 14, 4, 6, 33, 109, 123, 97],
    },
    "Oslo": {
        "Temperature": [-2, -2, 2, 6, 12, 16, 18, 17, 12, 7, 2, -2],
        "Rain": [57, 45, 41, 48, 61, 77, 81, 99, 81, 93, 83, 53],
    },
    "Nairobi": {
        "Temperature": [20, 20, 21, 21, 20, 18, 18, 18, 20, 21, 20, 20],
        "Rain": [76, 54, 91, 192, 133, 38, 17, 22, 27, 59, 151, 110],
    },
    "Mumbai": {
        "Temperature": [24, 25, 27, 29, 30, 29, 28, 27, 28, 28, 27, 25],
        "Rain": [0, 0, 0, 0, 11, 537, 920, 560, 384, 91, 11, 2],
    },
    "Tokyo": {
        "Temperature": [5, 6, 9, 14, 19, 22, 26, 27, 23, 18, 13, 8],
        "Rain": [60, 57, 116, 134, 140, 168, 156, 155, 225, 235, 96, 58],
    },
}
