"""The log program: it carries all output to the container's output, without waiting for its reader."""
