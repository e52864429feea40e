"""supervisorctl: `restart uwsgi` and `reload` replace uWSGI without losing a request, as SIGHUP does.

supervisord.ini names both factories: one for PID 1's side (rpcinterface), one for supervisorctl's (ctlplugin).
"""

import time
from typing import Any

from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.supervisorctl import ControllerPluginBase, DefaultControllerPlugin

POLL_SECONDS = 0.1


class SupervisorInterface(SupervisorNamespaceRPCInterface):  # type: ignore[misc]
    """supervisor's own interface, except that a restart of supervisord is a reload of the app."""

    def restart(self) -> bool:
        """Reload the app: supervisord itself is PID 1, and its end would be the container's."""
        self.supervisord.reload("supervisorctl reload")
        return True


class ReplacementInterface:
    """Starts a replacement, and tells how it went."""

    def __init__(self, supervisord: Any) -> None:
        self.supervisord = supervisord

    def start(self) -> int:
        """Start one; return the number of replacements that have succeeded, or -1 when there is nothing to replace."""
        if not self.supervisord.process_groups["uwsgi"].processes["uwsgi"].pid:
            return -1
        self.supervisord.reload("supervisorctl restart uwsgi")
        return self.results()[0]

    def results(self) -> list[int]:
        """Return how many replacements have succeeded, how many have failed, and 1 while one is under way."""
        replacement = self.supervisord.replacement
        return [replacement.results["success"], replacement.results["failure"], int(replacement.active)]


class Control(ControllerPluginBase):  # type: ignore[misc]
    """supervisorctl's actions that are not supervisor's own."""

    name = "wsgi"

    def __init__(self, controller: Any, **_: Any) -> None:
        self.ctl = controller
        # supervisorctl looks at its plugins in order, and supervisor's own comes first.
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
    """The rpcinterface_factory of `supervisor`."""
    return SupervisorInterface(supervisord)


def make_replacement_interface(supervisord: Any, **_: Any) -> ReplacementInterface:
    """The rpcinterface_factory of `wsgi`."""
    return ReplacementInterface(supervisord)


def make_control(controller: Any, **options: Any) -> Control:
    """The ctl_factory of `wsgi`."""
    return Control(controller, **options)
