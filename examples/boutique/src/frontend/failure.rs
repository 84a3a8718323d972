//! Requests that fail, and the page that says so.

use std::error::Error;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    page::{ErrorPage, render},
    storefront::{OFFERED_CURRENCIES, Storefront},
    visit::Visit,
};

/// Why there is no page for a request, and what the visitor is told.
///
/// As a response it has a status and no body: the page is made once, around all handlers, where the
/// visitor is known.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    /// The request asks for something that cannot be, as `message` says.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// A component behind the page failed. The causes go into the log; the page has the first only.
    pub(super) fn internal(context: &str, error: &(dyn Error + 'static)) -> Self {
        let mut causes = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            causes = format!("{causes}: {deeper}");
            cause = deeper.source();
        }
        tracing::error!(causes, "{context}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{context}: {error}"),
        )
    }

    /// [`Failure::internal`] for `map_err`.
    pub(super) fn because<E: Error + 'static>(context: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::internal(context, &error)
    }

    /// The page that says what happened.
    ///
    /// It asks no component for anything, since one of them may be what failed. The currencies to choose
    /// from are all that the shop could offer, so who has one that cannot be used finds a way out.
    pub(super) fn page(self, storefront: &Storefront, visit: &Visit) -> Response {
        let currencies = OFFERED_CURRENCIES.map(str::to_owned).to_vec();
        let page = ErrorPage {
            frame: storefront.frame(visit, currencies),
            code: self.status.as_u16(),
            text: self.status.canonical_reason().unwrap_or_default(),
            message: &self.message,
        };
        (self.status, render(&page)).into_response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
