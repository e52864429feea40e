"""PID 1, after startup has checked the settings and rendered the configuration."""
