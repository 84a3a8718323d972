//! What a visitor sent along: the fields of the body, and of the query.

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::failure::Failure;

/// The fields of a form, those of the body before those of the query.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of the field `name`; empty if there is no such field.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let query = urlencoded(request.uri().query().unwrap_or_default().as_bytes());
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let mut fields = match essence.to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => {
                let body = Bytes::from_request(request, state).await.map_err(unread)?;
                urlencoded(&body)
            }
            "multipart/form-data" => match Multipart::from_request(request, state).await {
                Ok(parts) => multipart(parts).await?,
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        fields.extend(query);
        Ok(Self(fields))
    }
}

fn urlencoded(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// Reads the fields up to the first that makes no sense: what is missing then, validation tells.
async fn multipart(mut parts: Multipart) -> Result<Vec<(String, String)>, Failure> {
    let mut fields = Vec::new();
    loop {
        match parts.next_field().await {
            Ok(Some(field)) => {
                let name = field.name().unwrap_or_default().to_owned();
                match field.text().await {
                    Ok(text) => fields.push((name, text)),
                    Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                        return Err(unread(error));
                    }
                    Err(_) => return Ok(fields),
                }
            }
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(unread(error));
            }
            Ok(None) | Err(_) => return Ok(fields),
        }
    }
}

/// The body did not come, or is longer than a form may be.
fn unread(rejection: impl IntoResponse) -> Failure {
    Failure::new(
        rejection.into_response().status(),
        "the form could not be read",
    )
}
