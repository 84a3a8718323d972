//! Who may borrow.

use async_trait::async_trait;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct Member {
    pub name: String,
    /// How many books the member may have at a time.
    pub limit: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    #[error("nobody called {0} is a member")]
    Unknown(String),
}

/// Knows the members of the library.
#[async_trait]
pub trait Members: Send + Sync {
    /// The member with this name.
    async fn member(&self, name: &str) -> Result<Member, MembersError>;
}

pub struct Cards {
    members: Vec<Member>,
}

impl Cards {
    pub fn issued() -> Self {
        let member = |name: &str, limit| Member {
            name: name.to_owned(),
            limit,
        };
        Self {
            members: vec![member("ada", 2), member("grace", 1)],
        }
    }
}

#[async_trait]
impl Members for Cards {
    async fn member(&self, name: &str) -> Result<Member, MembersError> {
        let found = self.members.iter().find(|member| member.name == name);
        let unknown = || MembersError::Unknown(name.to_owned());
        found.cloned().ok_or_else(unknown)
    }
}
