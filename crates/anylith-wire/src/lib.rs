//! Frames, encoding and the state machine of a connection: bytes in, bytes out.
//!
//! [`control`] holds what replicas and the control plane say to each other.

pub mod control;
