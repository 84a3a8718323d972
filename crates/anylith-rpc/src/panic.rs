//! What a panic says to those who are told of it.

use std::any::Any;

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic that says nothing".to_owned()
    }
}
