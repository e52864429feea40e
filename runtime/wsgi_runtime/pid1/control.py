"""supervisorctl: `restart uwsgi` and `reload` replace uWSGI without losing a request, as SIGHUP does.

supervisord.ini names the factories at the end: PID 1 calls the first two, supervisorctl the third.
"""

import time
from typing import Any

from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.supervisorctl import ControllerPluginBase, DefaultControllerPlugin

POLL_SECONDS = 0.1


class SupervisorInterface(SupervisorNamespaceRPCInterface):  # type: ignore[misc]
    """supervisor's own interface, except that a restart of supervisord is a reload, and its configuration is final."""

    def restart(self) -> bool:
        """Reload the app: supervisord is PID 1, and its end would be the container's."""
        self.supervisord.reload.start("supervisorctl reload")
        return True

    def reloadConfig(self) -> list[list[list[str]]]:
        """Return that no program was added, changed or removed.

        The programs differ from supervisord.ini, because PID 1 prepares them: `supervisorctl update` would stop all.
        """
        return [[[], [], []]]


class ReplacementInterface:
    """Starts a replacement of uWSGI, and returns its result."""

    def __init__(self, supervisord: Any) -> None:
        self.supervisord = supervisord

    def start(self) -> int:
        """Start a replacement; return the number of earlier successes, or -1 if uWSGI is down."""
        if not self.supervisord.programs.process("uwsgi").pid:
            return -1
        self.supervisord.reload.start("supervisorctl restart uwsgi")
        return self.results()[0]

    def results(self) -> list[int]:
        """Return the number of successes, the number of failures, and 1 while a replacement is under way."""
        replacement = self.supervisord.replacement
        return [*replacement.results.values(), int(replacement.active)]


class Control(ControllerPluginBase):  # type: ignore[misc]
    """Actions of supervisorctl that differ from supervisor's own."""

    name = "wsgi"

    def __init__(self, controller: Any, **_: Any) -> None:
        self.ctl = controller
        # supervisorctl looks up an action in supervisor's own plugin first, but in the controller before that.
        controller.do_restart, controller.do_reload = self.do_restart, self.do_reload

    def do_restart(self, arg: str) -> None:
        """Restart programs; uwsgi is replaced without losing a request."""
        names = arg.split()
        if "uwsgi" in names or "all" in names:
            self._replace()
            names = [name for name in names if name not in ("uwsgi", "all")] + ["nginx"] * ("all" in names)
        if names or not arg:
            DefaultControllerPlugin(self.ctl).do_restart(" ".join(names))

    def do_reload(self, arg: str) -> None:
        """Reload the app's code."""
        self._replace()

    def _replace(self) -> None:
        server = self.ctl.get_server_proxy("wsgi")
        if (succeeded := server.start()) < 0:
            DefaultControllerPlugin(self.ctl).do_start("uwsgi")
            return
        while (results := server.results())[2]:
            time.sleep(POLL_SECONDS)
        self.ctl.output("uwsgi: started" if results[0] > succeeded else "uwsgi: ERROR (see the container's log)")
        if results[0] == succeeded:
            self.ctl.exitstatus = 1


def make_supervisor_interface(supervisord: Any, **_: Any) -> SupervisorInterface:
    """Return the interface of the section [rpcinterface:supervisor]."""
    return SupervisorInterface(supervisord)


def make_replacement_interface(supervisord: Any, **_: Any) -> ReplacementInterface:
    """Return the interface of the section [rpcinterface:wsgi]."""
    return ReplacementInterface(supervisord)


def make_control(controller: Any, **options: Any) -> Control:
    """Return the plugin of the section [ctlplugin:wsgi]."""
    return Control(controller, **options)
