"""Version of the template."""

from admin_port import samples, status
from conftest import Container
from wsgi_runtime import __version__


def test_the_status_and_the_metrics_show_the_version_of_the_template(container: Container) -> None:
    assert status(container)["versions"]["template"] == __version__
    (labels,) = (key[1:] for key in samples(container) if key[0] == "wsgi_build_info")
    assert f"template={__version__}" in labels
