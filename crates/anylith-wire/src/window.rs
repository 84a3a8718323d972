//! The credit of one direction of a call: how much may be sent before the receiver took what it has.
//!
//! An item may be sent while there is any credit, and then takes its length and a fixed overhead, even
//! below zero: so an item of any allowed length passes, and a receiver never has to keep more than the
//! window and one item.

use crate::frame::ITEM_OVERHEAD_BYTES;

/// What an item of `length` bytes takes.
fn cost(length: usize) -> i64 {
    length as i64 + i64::from(ITEM_OVERHEAD_BYTES)
}

/// The sender's view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendWindow {
    left: i64,
}

impl SendWindow {
    pub(crate) fn new(window_bytes: u32) -> Self {
        Self {
            left: i64::from(window_bytes),
        }
    }

    pub(crate) fn is_open(self) -> bool {
        self.left > 0
    }

    pub(crate) fn sent(&mut self, length: usize) {
        self.left -= cost(length);
    }

    pub(crate) fn granted(&mut self, bytes: u32) {
        self.left = self.left.saturating_add(i64::from(bytes));
    }
}

/// The receiver's view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveWindow {
    left: i64,
    /// Taken by the reader, but not granted again yet.
    owed: i64,
    size: u32,
}

impl ReceiveWindow {
    pub(crate) fn new(window_bytes: u32) -> Self {
        Self {
            left: i64::from(window_bytes),
            owed: 0,
            size: window_bytes,
        }
    }

    /// Notes an item that came; false if the sender had no credit for it.
    #[must_use]
    pub(crate) fn received(&mut self, length: usize) -> bool {
        let allowed = self.left > 0;
        self.left -= cost(length);
        allowed
    }

    /// Notes that the reader took an item; returns the credit to grant for it, once it is worth a frame.
    pub(crate) fn taken(&mut self, length: usize) -> Option<u32> {
        self.owed += cost(length);
        if self.owed < i64::from(self.size / 2) {
            return None;
        }
        let grant = u32::try_from(self.owed).unwrap_or(u32::MAX);
        self.owed -= i64::from(grant);
        self.left += i64::from(grant);
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_items_are_bounded_too() {
        let mut window = SendWindow::new(1024);
        let mut sent = 0;
        while window.is_open() {
            window.sent(0);
            sent += 1;
        }
        assert_eq!(sent, 1024 / ITEM_OVERHEAD_BYTES);
    }

    #[test]
    fn what_the_reader_took_may_be_sent_again() {
        let (mut send, mut receive) = (SendWindow::new(1000), ReceiveWindow::new(1000));
        for _ in 0..100 {
            assert!(send.is_open());
            send.sent(2000);
            assert!(receive.received(2000));
            send.granted(receive.taken(2000).unwrap());
        }
    }

    #[test]
    fn an_item_without_credit_is_noticed() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.received(5000));
        assert!(!window.received(1));
    }
}
