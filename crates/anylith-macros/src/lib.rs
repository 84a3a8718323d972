//! The attributes of Anylith: parse, model, check, expand.
