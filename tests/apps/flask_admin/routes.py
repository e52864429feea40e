"""Flask-Admin on an SQLite database that prestart.sh creates."""

from flask import Flask
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.secret_key = "for tests"
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:////tmp/database.sqlite3"
database = SQLAlchemy(app)


class Customer(database.Model):
    """Table of the admin's only page."""

    id = database.Column(database.Integer, primary_key=True)
    name = database.Column(database.String(50))


Admin(app).add_view(ModelView(Customer, database))


def create_table() -> None:
    """Create the table with two rows."""
    with app.app_context():
        database.create_all()
        database.session.add_all([Customer(name="Ada"), Customer(name="Grace")])
        database.session.commit()
