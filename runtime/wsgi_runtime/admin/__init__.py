"""The admin program: metrics and the status page on the admin port."""
