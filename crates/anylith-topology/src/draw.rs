//! Pictures of the dependency graph.
