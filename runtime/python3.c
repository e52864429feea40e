/* Makes uWSGI's binary, which has all of Python in it, Python itself when it is called so. */
#define _GNU_SOURCE
#include <Python.h>
#include <errno.h>

__attribute__((constructor)) static void python3(int count, char **words) {
    if (!strncmp(program_invocation_short_name, "python", 6)) exit(Py_BytesMain(count, words));
}

/* hashlib and random take OpenSSL's instead. */
PyObject *PyInit__sha2(void) {
    PyErr_SetString(PyExc_ImportError, "not in Debian's libpython.a");
    return NULL;
}
