"""PID 1, once startup has checked and prepared everything."""
