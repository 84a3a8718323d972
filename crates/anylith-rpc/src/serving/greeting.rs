//! The greeting of an accepted connection, before anything else is kept for it.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Instant,
};

use anylith_wire::{Batch, ServingEnd};
use bytes::BytesMut;
use tokio::time::timeout_at;

use super::Ended;
use crate::{transport::Socket, trust::Trust};

/// Waits for the greeting of the peer, for as long as `end` has patience, and judges who it is. Over TCP this makes the
/// handshake, too. What came behind it is left in `bytes`, and
/// the answer in the outbox of `end`.
///
/// # Cancellation
///
/// The connection is of no more use.
pub(crate) async fn greet(
    socket: &mut Socket,
    end: &mut ServingEnd,
    bytes: &mut BytesMut,
    trust: &Trust,
) -> Result<(), Ended> {
    let until = end.next_timeout().unwrap_or_else(Instant::now);
    let greeting = poll_fn(|cx| poll_greeting(cx, socket, end, bytes, trust));
    match timeout_at(until.into(), greeting).await {
        Ok(greeted) => greeted,
        Err(_) => match end.on_timeout(until, &mut Vec::new()) {
            Ok(()) => Err(Ended::Closed),
            Err(silent) => Err(Ended::Protocol(silent)),
        },
    }
}

fn poll_greeting(
    cx: &mut Context<'_>,
    socket: &mut Socket,
    end: &mut ServingEnd,
    bytes: &mut BytesMut,
    trust: &Trust,
) -> Poll<Result<(), Ended>> {
    loop {
        match std::task::ready!(socket.poll_read(cx, bytes, end.wanted())) {
            Ok(0) => return Poll::Ready(Err(Ended::Closed)),
            Ok(_) => {}
            Err(error) => return Poll::Ready(Err(Ended::Io(error))),
        }
        match end.receive(bytes, Instant::now()) {
            Ok(None) => {}
            // Who is not who he says he is gets no answer at all.
            Ok(Some(_)) => {
                let greeted = trust.greeted(end, socket.names().as_ref());
                return Poll::Ready(greeted.map_err(Ended::Protocol));
            }
            Err(error) => {
                // A peer of another version is told which one is spoken here; who does not take it at once goes without.
                let mut batch = Batch::default();
                end.fill(&mut batch, &mut Vec::new());
                let mut taken = !batch.is_empty();
                while taken {
                    let wrote = matches!(socket.poll_write(cx, &mut batch), Poll::Ready(Ok(_)));
                    taken = wrote && !batch.is_empty();
                }
                return Poll::Ready(Err(Ended::Protocol(error)));
            }
        }
    }
}
