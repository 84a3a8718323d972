//! Which book is with whom.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::Serialize;

use crate::{
    books::{Book, Books, BooksError},
    members::{Members, MembersError},
};

#[derive(Debug, thiserror::Error)]
pub enum LoansError {
    #[error(transparent)]
    Book(#[from] BooksError),
    #[error(transparent)]
    Member(#[from] MembersError),
    #[error("{0} is lent out")]
    Out(String),
    #[error("{0} may not have more books")]
    Enough(String),
}

#[derive(Debug, Clone, Serialize)]
pub struct Loan {
    pub book: Book,
    pub member: String,
}

/// Lends books, and takes them back.
#[async_trait]
pub trait Loans: Send + Sync {
    /// Lends a book that is in to a member who may have one more.
    async fn borrow(&self, member: &str, book: u32) -> Result<Loan, LoansError>;
    /// Takes a book back. One that was not out is fine, too.
    async fn give_back(&self, book: u32) -> Result<(), LoansError>;
}

pub struct Desk {
    books: Arc<dyn Books>,
    members: Arc<dyn Members>,
    out: Mutex<BTreeMap<u32, String>>,
}

impl Desk {
    pub fn new(books: Arc<dyn Books>, members: Arc<dyn Members>) -> Self {
        let out = Mutex::default();
        Self {
            books,
            members,
            out,
        }
    }
}

#[async_trait]
impl Loans for Desk {
    async fn borrow(&self, member: &str, book: u32) -> Result<Loan, LoansError> {
        let member = self.members.member(member).await?;
        let book = self.books.book(book).await?;
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.contains_key(&book.id) {
            return Err(LoansError::Out(book.title));
        }
        if out.values().filter(|name| **name == member.name).count() >= member.limit {
            return Err(LoansError::Enough(member.name));
        }
        out.insert(book.id, member.name.clone());
        Ok(Loan {
            book,
            member: member.name,
        })
    }

    async fn give_back(&self, book: u32) -> Result<(), LoansError> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.remove(&book);
        Ok(())
    }
}
