//! One test under every topology.
