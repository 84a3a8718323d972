//! What stands on the shelves.

use async_trait::async_trait;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct Book {
    pub id: u32,
    pub title: String,
    pub author: String,
}

#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    #[error("no book has the number {0}")]
    NotFound(u32),
}

/// Knows the books of the library.
#[async_trait]
pub trait Books: Send + Sync {
    /// Every book, by number.
    async fn all(&self) -> Result<Vec<Book>, BooksError>;
    /// The book with this number.
    async fn book(&self, id: u32) -> Result<Book, BooksError>;
}

pub struct Shelf {
    books: Vec<Book>,
}

impl Shelf {
    pub fn stocked() -> Self {
        let book = |id, title: &str, author: &str| Book {
            id,
            title: title.to_owned(),
            author: author.to_owned(),
        };
        Self {
            books: vec![
                book(1, "Effi Briest", "Theodor Fontane"),
                book(2, "Middlemarch", "George Eliot"),
                book(3, "The Trial", "Franz Kafka"),
            ],
        }
    }
}

#[async_trait]
impl Books for Shelf {
    async fn all(&self) -> Result<Vec<Book>, BooksError> {
        Ok(self.books.clone())
    }

    async fn book(&self, id: u32) -> Result<Book, BooksError> {
        let found = self.books.iter().find(|book| book.id == id);
        found.cloned().ok_or(BooksError::NotFound(id))
    }
}
