//! A caller that the test moves by hand: it sends and reads only when it is told to.

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

use anylith_core::{CallContext, Endpoint, Limits};
use anylith_wire::{BATCH_SLICES, Batch, CallId, CallingEnd, CallingEvent, NewCall};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{name, soon};

pub(crate) struct Puppet {
    pub(crate) end: CallingEnd,
    pub(crate) stream: UnixStream,
    bytes: BytesMut,
    /// How many bytes it has read.
    pub(crate) read: usize,
}

/// A connection to `endpoint` that has not greeted.
pub(crate) async fn connected(endpoint: &Endpoint) -> UnixStream {
    let Endpoint::Unix(path) = endpoint else {
        panic!("a Unix socket")
    };
    UnixStream::connect(path).await.unwrap()
}

impl Puppet {
    /// Connects, and greets.
    pub(crate) async fn greeted(endpoint: &Endpoint) -> Self {
        let limits = Limits::default();
        let mut puppet = Self {
            end: CallingEnd::new(name("Puppet-1"), &limits, Instant::now()),
            stream: connected(endpoint).await,
            bytes: BytesMut::new(),
            read: 0,
        };
        puppet.write().await;
        assert_eq!(puppet.event().await, Some(CallingEvent::Ready));
        puppet
    }

    /// Begins a call without a deadline.
    pub(crate) fn begin(&mut self, method: u16, arguments: &[u8]) -> CallId {
        self.begin_within(None, method, arguments)
    }

    pub(crate) fn begin_within(
        &mut self,
        length: Option<Duration>,
        method: u16,
        arguments: &[u8],
    ) -> CallId {
        let now = Instant::now();
        let call = NewCall {
            component: 0,
            method,
            deadline: length.map(|length| now + length),
            context: &CallContext::default(),
            items: false,
        };
        self.end.begin(&call, &mut arguments.to_vec(), now).unwrap()
    }

    /// Sends everything.
    pub(crate) async fn write(&mut self) {
        let mut batch = Batch::default();
        while self.end.has_output() {
            self.end.fill(&mut batch, &mut Vec::new());
            while !batch.is_empty() {
                let mut slices = [IoSlice::new(&[]); BATCH_SLICES];
                let count = batch.slices(&mut slices);
                let written = self.stream.write_vectored(&slices[..count]).await.unwrap();
                batch.advance(written);
                self.end.written(written);
            }
        }
    }

    /// Reads until something happens; `None` if the connection is closed.
    pub(crate) async fn event(&mut self) -> Option<CallingEvent> {
        loop {
            let event = self.end.receive(&mut self.bytes, Instant::now());
            match event.expect("the server keeps to the protocol") {
                Some(CallingEvent::Offered) => continue,
                Some(event) => return Some(event),
                None => {}
            }
            let read = soon(self.stream.read_buf(&mut self.bytes)).await.ok()?;
            self.read += read;
            if read == 0 {
                return None;
            }
        }
    }

    /// Reads once, expecting nothing that anybody waits for; `None` if the connection is closed.
    pub(crate) async fn silence(&mut self) -> Option<()> {
        let read = soon(self.stream.read_buf(&mut self.bytes)).await.ok()?;
        let event = self.end.receive(&mut self.bytes, Instant::now()).unwrap();
        assert!(
            matches!(event, None | Some(CallingEvent::Offered)),
            "{event:?}"
        );
        (read > 0).then_some(())
    }
}
