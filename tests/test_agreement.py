"""Where two files have to say the same."""

import re
from configparser import RawConfigParser

from conftest import REPO

from runtime import RUN, admin, prepare, sockets

NGINX, UWSGI, DOCKERFILE = ((REPO / name).read_text() for name in ("nginx.conf", "uwsgi.ini", "Dockerfile"))


def supervisord(section: str, option: str) -> str:
    """An option of supervisord.ini."""
    parser = RawConfigParser()
    parser.read(REPO / "supervisord.ini")
    return parser[section][option]


def test_nginx_asks_at_the_socket_that_uwsgi_gets() -> None:
    """supervisord opens it."""
    opened = supervisord("fcgi-program:uwsgi", "socket")
    assert set(re.findall(r"uwsgi_pass +([^;]+);", NGINX)) == {opened.replace("unix://", "unix:")}


def test_nginx_reads_what_the_start_renders() -> None:
    """And health looks for the mark that a stop leaves."""
    assert f"-c {RUN}/nginx.conf" in supervisord("program:nginx", "command")
    assert f"-f {RUN}/stopping" in NGINX


def test_process_1_talks_to_uwsgi_where_uwsgi_listens() -> None:
    """Its fifo, its statistics, and the marks of its workers."""
    sources = "".join(path.read_text() for path in (REPO / "runtime").glob("*.py"))
    for option in ("master-fifo", "stats"):
        name = re.search(rf"^{option} *= {RUN}/(\S+)$", UWSGI, re.MULTILINE)[1]
        assert f'RUN / "{name}"' in sources
    assert f"{RUN}/importing-" in sources
    assert 'RUN.glob("importing-*")' in sources


def test_nginx_and_process_1_meet_on_the_private_port() -> None:
    """The pipe of lines, the socket of answers, and the header that instrument.py sets and nginx takes out."""
    private = (REPO / "nginx/admin.conf").read_text()
    assert f"access_log {RUN}/metrics.fifo metrics" in private
    assert 'RUN / "metrics.fifo"' in (REPO / "runtime/metrics.py").read_text()
    assert set(re.findall(r"http://unix:([^;]+);", private)) == {str(admin.SOCKET)}
    header = re.search(r"uwsgi_hide_header (\S+);", private)[1]
    assert f'headers.append(("{header}", endpoint))' in (REPO / "runtime/instrument.py").read_text()
    assert f"$upstream_http_{header.lower().replace('-', '_')}" in private


def test_the_status_page_finds_the_endpoints_that_workers_write() -> None:
    """instrument.py imports nothing of ours: the app may have modules of the same names."""
    writer = (REPO / "runtime/instrument.py").read_text()
    assert f"WIDTH = {admin.WIDTH}\n" in writer
    assert f'f"{RUN}/endpoints-{{uwsgi.worker_id()}}"' in writer
    assert 'RUN / f"endpoints-{worker}"' in (REPO / "runtime/admin.py").read_text()


def test_listening_sockets_are_out_of_supervisords_way() -> None:
    """It closes the file descriptors below minfds in what it starts."""
    assert int(supervisord("supervisord", "minfds")) == sockets.MINFDS


def test_root_becomes_the_user_that_the_image_names() -> None:
    """Started as root or not, the same one serves."""
    assert f"USER {prepare.USER}:{prepare.GROUP}\n" in DOCKERFILE
    assert f"--uid {prepare.USER} --gid {prepare.GROUP} " in DOCKERFILE


def test_locks_are_made_for_the_python_of_the_image() -> None:
    """The one that Debian has."""
    (version,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"lock {version} runtime" in (REPO / "tools/lock").read_text()
