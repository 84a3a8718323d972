//! Drives the control plane on this machine: starts, watches, restarts and replaces processes.
