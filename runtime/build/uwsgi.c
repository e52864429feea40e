/* Object that is linked into uWSGI's binary. docs/decisions.md weighs each of its three parts. */
#define _GNU_SOURCE
#include <Python.h>
#include <errno.h>

/* The binary contains all of Python: started under the name python3, it is Python. */
__attribute__((constructor)) static void python3(int argc, char **argv) {
    if (!strncmp(program_invocation_short_name, "python", 6)) exit(Py_BytesMain(argc, argv));
}

/* hashlib and random fall back to OpenSSL when this module cannot be imported. */
PyObject *PyInit__sha2(void) {
    PyErr_SetString(PyExc_ImportError, "Debian's libpython.a lacks what _sha2 is linked with");
    return NULL;
}

/* uWSGI calls end_me(0) in the thread of a worker that notices that the master has died: the worker exits, and requests
 * in its other threads are lost. Instead, that thread accepts no more requests and waits for PID 1, the new parent, to
 * send SIGHUP (wsgi_runtime/pid1/orphans.py), after which the worker finishes its requests. */
extern pid_t masterpid;
void __real_end_me(int signum);
void __wrap_end_me(int signum) {
    for (int tries = 100; !signum && tries; tries--) {
        usleep(10000);
        if (getppid() == masterpid) continue;
        return;
    }
    __real_end_me(signum);
}
