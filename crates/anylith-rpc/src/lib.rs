//! Drives the wire protocol over real transports: connections, balancing, retries.
