//! The inside of a replica: builds its components, makes each edge local or remote, drains.
