//! A TCP connection with TLS over it.
//!
//! rustls gets its bytes in large pieces: what one read of up to 64 KiB brought, and records as full as the batch
//! makes them, many of which leave with one write.

use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, BufRead as _, IoSlice, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use rustls::Connection;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

use super::{Names, Unproven};

/// How much is read at once, encrypted.
const READ_BYTES: usize = 64 * 1024;
/// The most plaintext in one record of TLS.
const RECORD_BYTES: usize = 16 * 1024;
/// How much is encrypted before the kernel is given any of it.
const AHEAD_BYTES: usize = 128 * 1024;

thread_local! {
    /// What was read last, on its way to rustls. It is empty between two polls, so one serves all connections.
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One end of a TLS connection. Reading or writing makes the handshake first.
#[derive(Debug)]
pub(crate) struct TlsStream {
    stream: TcpStream,
    connection: Connection,
    /// Plaintext that came with the end of the handshake.
    early: BytesMut,
    /// Encrypted, and on its way to the kernel, which has the first `sent` bytes.
    out: Vec<u8>,
    sent: usize,
    /// The records in `out` of which the kernel does not have every byte: where each ends, and its plaintext's length.
    records: VecDeque<(usize, usize)>,
    /// The peer said that it sends nothing more.
    ended: bool,
}

impl TlsStream {
    pub(super) fn new(stream: TcpStream, mut connection: Connection) -> Self {
        // Then what is written makes one record at a time, and it is known where that ends.
        connection.set_buffer_limit(Some(RECORD_BYTES));
        Self {
            stream,
            connection,
            early: BytesMut::new(),
            out: Vec::new(),
            sent: 0,
            records: VecDeque::new(),
            ended: false,
        }
    }

    /// Whom the peer's certificate names, once the handshake is over.
    pub(crate) fn names(&self) -> Option<Names> {
        let certificate = self.connection.peer_certificates()?.first()?;
        Names::of(certificate).ok()
    }

    /// Waits until both ends have proven who they are.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.collect();
            ready!(self.poll_send(cx))?;
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let mut early = std::mem::take(&mut self.early);
            let read = self.poll_fill(cx, &mut early);
            self.early = early;
            match ready!(read) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Err(error) => {
                    // The alert: if it does not fit now, the peer learns it from the end of the connection.
                    self.collect();
                    let _ = self.poll_send(cx);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Adds plaintext to `bytes`: what one read brought. 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if self.connection.is_handshaking() {
            ready!(self.poll_handshake(cx))?;
        }
        let before = bytes.len();
        if !self.early.is_empty() {
            bytes.extend_from_slice(&std::mem::take(&mut self.early));
        }
        while bytes.len() == before && !self.ended {
            // An end without a word is as good as one with it: frames have lengths, so what was cut off shows.
            self.ended |= !ready!(self.poll_fill(cx, bytes))?;
        }
        // New keys were asked for. Behind records that wait, and where there is no room now, the answer goes out with what
        // is written next: only there it is counted which records have left.
        if self.connection.wants_write() && self.records.is_empty() {
            self.collect();
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(bytes.len() - before))
    }

    /// Writes from the front of `slices`, and returns how many bytes of it the kernel now has, at least in part: a
    /// record counts when its last byte has left, since the peer can do nothing with less.
    ///
    /// What was encrypted is not taken back: until all of it has left, `slices` must begin with the same bytes.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &mut [IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.is_handshaking() {
            ready!(self.poll_handshake(cx))?;
        }
        if self.records.is_empty() {
            self.encrypt(slices)?;
        }
        while self.sent < self.out.len() {
            self.sent += ready!(self.poll_send_some(cx))?;
            let mut taken = 0;
            while let Some((_, length)) = self.records.pop_front_if(|(end, _)| *end <= self.sent) {
                taken += length;
            }
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
        // rustls took nothing, which it only does when it is over.
        Poll::Ready(Err(io::ErrorKind::WriteZero.into()))
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.send_close_notify();
        self.collect();
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Makes records of `slices`, as many as may be ahead of the kernel.
    fn encrypt(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.collect();
        let full = self.out.len() + AHEAD_BYTES;
        while !slices.is_empty() && self.out.len() < full {
            let taken = match &*slices {
                [one] => self.connection.writer().write(one)?,
                _ => self.connection.writer().write_vectored(slices)?,
            };
            if taken == 0 {
                break;
            }
            IoSlice::advance_slices(&mut slices, taken);
            self.collect();
            self.records.push_back((self.out.len(), taken));
        }
        Ok(())
    }

    /// Takes from rustls what it has to send.
    fn collect(&mut self) {
        if self.sent == self.out.len() && self.records.is_empty() {
            self.out.clear();
            self.sent = 0;
        }
        while self.connection.wants_write() {
            // Writing into memory does not fail.
            let _ = self.connection.write_tls(&mut self.out);
        }
    }

    /// Sends all that was taken from rustls.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            self.sent += ready!(self.poll_send_some(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let waiting = &self.out[self.sent..];
        match ready!(Pin::new(&mut self.stream).poll_write(cx, waiting))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => Poll::Ready(Ok(sent)),
        }
    }

    /// Reads once, and adds the plaintext that is complete to `bytes`. Ready with false at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, bytes: &mut BytesMut) -> Poll<io::Result<bool>> {
        let mut read = READ.take();
        read.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut read);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let filled = match polled {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(())) => {
                let decrypted = self.decrypt(buffer.filled(), bytes);
                Poll::Ready(decrypted.map(|()| !self.ended))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        READ.set(read);
        filled
    }

    fn decrypt(&mut self, mut encrypted: &[u8], bytes: &mut BytesMut) -> io::Result<()> {
        while !encrypted.is_empty() && !self.ended {
            let handshaking = self.connection.is_handshaking();
            self.connection.read_tls(&mut encrypted)?;
            let state = self.connection.process_new_packets().map_err(|error| {
                // For a client the handshake is over before its certificate was looked at.
                let refused = matches!(self.connection, Connection::Client(_))
                    && matches!(error, rustls::Error::AlertReceived(_));
                if handshaking || refused {
                    Unproven::from(&error).into()
                } else {
                    io::Error::new(io::ErrorKind::InvalidData, error)
                }
            })?;
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.connection.reader();
            while left > 0 {
                let piece = reader.fill_buf()?;
                let length = piece.len();
                bytes.extend_from_slice(piece);
                reader.consume(length);
                left = left.saturating_sub(length);
            }
            self.ended |= state.peer_has_closed();
        }
        Ok(())
    }
}
