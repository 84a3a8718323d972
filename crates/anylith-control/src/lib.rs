//! The control plane as a machine: what is wanted and what was seen in, actions and a directory out.
