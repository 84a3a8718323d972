//! The pages.

use std::{io, sync::Arc};

use anylith::{Listener, Stopping};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};

use crate::{
    books::{Book, Books, BooksError},
    loans::{Loan, Loans, LoansError},
    members::{Member, Members, MembersError},
};

/// The pages of the library.
#[derive(Clone, anylith::Component)]
#[component(serve)]
pub struct Web {
    pub books: Arc<dyn Books>,
    pub members: Arc<dyn Members>,
    pub loans: Arc<dyn Loans>,
    #[listener]
    pub web: Listener,
}

impl Web {
    async fn serve(self: Arc<Self>, stopping: Stopping) -> io::Result<()> {
        tracing::info!("listening on {}", self.web.address()?);
        let router = router(Self::clone(&self));
        self.web.serve(router, stopping).await
    }
}

pub fn router(web: Web) -> Router {
    Router::new()
        .route("/books", get(books))
        .route("/books/{id}", get(book).delete(give_back))
        .route("/members/{name}", get(member))
        .route("/members/{name}/books/{id}", put(borrow))
        .with_state(web)
}

async fn books(State(web): State<Web>) -> Result<Json<Vec<Book>>, LoansError> {
    Ok(Json(web.books.all().await?))
}

async fn book(State(web): State<Web>, Path(id): Path<u32>) -> Result<Json<Book>, LoansError> {
    Ok(Json(web.books.book(id).await?))
}

async fn give_back(State(web): State<Web>, Path(id): Path<u32>) -> Result<(), LoansError> {
    web.loans.give_back(id).await
}

async fn member(
    State(web): State<Web>,
    Path(name): Path<String>,
) -> Result<Json<Member>, LoansError> {
    Ok(Json(web.members.member(&name).await?))
}

async fn borrow(
    State(web): State<Web>,
    Path((name, id)): Path<(String, u32)>,
) -> Result<Json<Loan>, LoansError> {
    Ok(Json(web.loans.borrow(&name, id).await?))
}

impl IntoResponse for LoansError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Book(BooksError::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::Member(MembersError::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Out(_) | Self::Enough(_) => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE, // a call failed on its way, here or deeper
        };
        (status, self.to_string()).into_response()
    }
}
