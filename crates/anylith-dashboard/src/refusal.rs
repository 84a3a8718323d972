//! Why something is not done or not answered, as it is told over HTTP.

use axum::{
    Json,
    extract::rejection::QueryRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Why something is not done, and what to do instead.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    told: Told,
}

#[derive(Debug, Serialize)]
struct Told {
    what: String,
    mend: String,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let told = Told {
            what: what.into(),
            mend: mend.into(),
        };
        Self { status, told }
    }

    /// What was asked for is wrong.
    pub(crate) fn wrong(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, mend)
    }

    /// It is asked for at the wrong time, or of the wrong application.
    pub(crate) fn conflict(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, what, mend)
    }

    /// What is wrong.
    pub(crate) fn into_what(self) -> String {
        self.told.what
    }

    /// The supervisor, or the application's binary, did not answer.
    pub(crate) fn no_answer(what: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            what,
            "see with `anylith status` how it is",
        )
    }
}

/// What was asked for cannot be read.
impl From<QueryRejection> for Refusal {
    fn from(error: QueryRejection) -> Self {
        Self::wrong(
            error.body_text(),
            "GET /api/v1/openapi.json says what can be asked for",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.told)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
