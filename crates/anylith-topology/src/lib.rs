//! Dependency graph and anylith.toml in, a plan or every reason why not out.
