/* What uWSGI's binary has besides uWSGI. */
#define _GNU_SOURCE
#include <Python.h>
#include <errno.h>

/* All of Python is in it, so it is Python when it is called so. */
__attribute__((constructor)) static void python3(int count, char **words) {
    if (!strncmp(program_invocation_short_name, "python", 6)) exit(Py_BytesMain(count, words));
}

/* hashlib and random take OpenSSL's instead. */
PyObject *PyInit__sha2(void) {
    PyErr_SetString(PyExc_ImportError, "not in Debian's libpython.a");
    return NULL;
}

/* Without a signal (0), uWSGI ends a worker whose master is gone, in the midst of its requests. Instead the thread that
 * found it out takes no more, until PID 1, its parent now, has told all of them to finish (wsgi_runtime/pid1/orphans.py). */
extern pid_t masterpid;
void __real_end_me(int signum);
void __wrap_end_me(int signum) {
    for (int patience = 100; !signum && patience; patience--) {
        usleep(10000);
        if (getppid() == masterpid) continue;
        return;
    }
    __real_end_me(signum);
}
