//! Knowing when a broken connection is to be expected.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Whether the process that holds the visitors' connections stands, or is being killed by the test.
///
/// While it is out, connections may break. At all other times a connection that breaks is a fault.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// Goes up when the door goes out, and again when it is back: even while it stands.
    changes: Arc<AtomicU64>,
}

/// A moment in the life of a [`Door`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

/// Holds a [`Door`] out until it is dropped.
#[derive(Debug)]
pub struct Out(Door);

impl Door {
    /// Says that connections may break from here on, until the result is dropped.
    #[must_use]
    pub fn out(&self) -> Out {
        self.changes.fetch_add(1, Ordering::SeqCst);
        Out(self.clone())
    }

    /// The moment in which a request begins.
    pub fn now(&self) -> Moment {
        Moment(self.changes.load(Ordering::SeqCst))
    }

    /// Whether a request that began at `begin` had to fail with `error`: its connection broke, or could not be
    /// made, and the door was out at least once since then.
    pub fn explains(&self, error: &reqwest::Error, begin: Moment) -> bool {
        !error.is_timeout() && !error.is_decode() && self.was_out_since(begin)
    }

    fn was_out_since(&self, begin: Moment) -> bool {
        begin.0 % 2 == 1 || self.now() != begin
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The error of a request to a port at which nobody is, and never was.
    async fn refused() -> reqwest::Error {
        reqwest::get("http://127.0.0.1:1").await.unwrap_err()
    }

    #[tokio::test]
    async fn a_broken_connection_is_a_fault_while_the_door_stands() {
        let door = Door::default();
        drop(door.out());
        assert!(!door.explains(&refused().await, door.now()));
    }

    #[tokio::test]
    async fn a_broken_connection_is_explained_by_a_door_that_was_out_meanwhile() {
        let door = Door::default();
        let error = refused().await;
        let before = door.now();
        let out = door.out();
        let during = door.now();
        assert!(door.explains(&error, before) && door.explains(&error, during));
        drop(out);
        assert!(door.explains(&error, before) && door.explains(&error, during));
        assert!(!door.explains(&error, door.now()));
    }

    #[tokio::test]
    async fn a_shop_that_does_not_answer_is_a_fault_whoever_is_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_millis(20));
        let request = client.build().unwrap().get(format!("http://{address}"));
        let error = request.send().await.unwrap_err();
        let door = Door::default();
        let _out = door.out();
        assert!(!door.explains(&error, door.now()), "{error:?}");
    }
}
