//! A container image of a program alone.
//!
//! From scratch: the program, the libraries that it needs, a user who is not root, and nothing else. No daemon has a part in it.
//! The same program gives the same bytes, so an image that has not changed has the digest that it had.
//!
//! - [`Libraries::of`] finds what a program needs, by reading it.
//! - [`Image`] is what is to be in the image, and [`Image::archive`] writes it, as an OCI image layout in a tar archive.

mod archive;
mod elf;
mod image;
mod layer;
mod libraries;

pub use archive::Archive;
pub use elf::{Elf, NotAProgram};
pub use image::{Image, USER};
pub use libraries::{Libraries, LibraryError};
