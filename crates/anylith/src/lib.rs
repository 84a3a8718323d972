//! Write an application once, run it as a monolith or as microservices.
