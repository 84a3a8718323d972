//! Arguments, results and stream items as the bytes that travel: postcard, one value after the other.

use std::{
    any::{Any, TypeId},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use anylith_core::{BadAnswer, CallError, Edge, Refusal};
use anylith_rpc::{Answer, Failure, Items};
use bytes::Bytes;
use futures_core::Stream;
use serde::Deserialize;

use crate::{
    encoding,
    interface::{CallResult, Travels},
    streaming::{Streaming, StreamingOf},
};

/// From this length on, in bytes, a [`Bytes`] that arrives is a part of its message and not a copy. Shorter
/// ones are copied, so that a few of them, kept for long, do not keep whole read buffers alive.
const SHARED_BYTES: usize = 4 * 1024;

/// Reads a value from the front of `rest`, a part of `message`, and returns what follows it.
fn take<'m, T: Travels>(message: &Bytes, rest: &'m [u8]) -> postcard::Result<(T, &'m [u8])> {
    let mut value = None::<T>;
    let as_bytes = (&mut value as &mut dyn Any).downcast_mut::<Option<Bytes>>();
    if let Some(shared) = as_bytes {
        let (bytes, rest) = encoding::take::<&[u8]>(rest)?;
        *shared = Some(if bytes.len() >= SHARED_BYTES {
            message.slice_ref(bytes)
        } else {
            Bytes::copy_from_slice(bytes)
        });
        if let Some(value) = value {
            return Ok((value, rest));
        }
    }
    encoding::take(rest)
}

/// Reads all of `message` as one value.
fn decode<'de, T: Deserialize<'de>>(message: &'de [u8]) -> Result<T, String> {
    match encoding::take(message) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(encoding::problem(&error)),
    }
}

/// An argument that is passed as `&Self` and arrives as an `Owned`.
pub trait PassedAs<Owned>: Sync {
    /// Writes it.
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>) -> postcard::Result<()>;
}

impl<T: Travels> PassedAs<T> for T {
    fn write(&self, out: &mut Vec<u8>) -> postcard::Result<()> {
        encoding::write(self, out)
    }
}

impl<T: Travels> PassedAs<Vec<T>> for [T] {
    fn write(&self, out: &mut Vec<u8>) -> postcard::Result<()> {
        encoding::write(self, out)
    }
}

impl PassedAs<PathBuf> for Path {
    fn write(&self, out: &mut Vec<u8>) -> postcard::Result<()> {
        encoding::write(self, out)
    }
}

/// Writes the arguments of a call.
#[derive(Debug)]
pub struct ArgumentWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> ArgumentWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes a value.
    pub(crate) fn value<T: ?Sized + PassedAs<Owned>, Owned>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), Failure> {
        value
            .write(self.out)
            .map_err(|error| unencodable(name, &error))
    }

    /// Writes a `&str`.
    pub fn text(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        encoding::write(value, self.out).map_err(|error| unencodable(name, &error))
    }

    /// Writes a `&[u8]` at once, and not byte by byte.
    pub fn bytes(&mut self, name: &str, value: &[u8]) -> Result<(), Failure> {
        // A `str` and a byte slice look the same in postcard: a length, then the bytes.
        encoding::write(&value.len(), self.out).map_err(|error| unencodable(name, &error))?;
        self.out.extend_from_slice(value);
        Ok(())
    }
}

fn unencodable(name: &str, error: &postcard::Error) -> Failure {
    Failure::NotExecuted(Refusal::Unencodable(format!(
        "argument `{name}`: {}",
        encoding::problem(error)
    )))
}

/// Reads the arguments of a call.
#[derive(Debug)]
pub struct ArgumentReader<'a> {
    message: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> ArgumentReader<'a> {
    /// Begins at the start of `message`.
    pub fn new(message: &'a Bytes) -> Self {
        Self {
            message,
            rest: message,
        }
    }

    /// Reads a value of its own.
    pub(crate) fn value<T: Travels>(&mut self, name: &str) -> Result<T, Failure> {
        let (value, rest) =
            take(self.message, self.rest).map_err(|error| undecodable_argument(name, &error))?;
        self.rest = rest;
        Ok(value)
    }

    /// Reads a `&str` in place.
    pub fn text(&mut self, name: &str) -> Result<&'a str, Failure> {
        self.next(name)
    }

    /// Reads a `&[u8]` in place.
    pub fn bytes(&mut self, name: &str) -> Result<&'a [u8], Failure> {
        self.next(name)
    }

    fn next<T: Deserialize<'a>>(&mut self, name: &str) -> Result<T, Failure> {
        let (value, rest) =
            encoding::take(self.rest).map_err(|error| undecodable_argument(name, &error))?;
        self.rest = rest;
        Ok(value)
    }

    /// Checks that nothing is left.
    pub fn end(self) -> Result<(), Failure> {
        match self.rest {
            [] => Ok(()),
            rest => Err(undecodable(format!(
                "{} bytes follow the last argument",
                rest.len()
            ))),
        }
    }
}

fn undecodable_argument(name: &str, error: &postcard::Error) -> Failure {
    undecodable(format!("argument `{name}`: {}", encoding::problem(error)))
}

fn undecodable(problem: String) -> Failure {
    Failure::NotExecuted(Refusal::Undecodable(problem))
}

/// The answer that carries `result`, written into `buffer`.
pub(crate) fn answer<R>(result: R, buffer: Vec<u8>) -> Result<Answer, Failure>
where
    R: CallResult<Value: Travels, Error: Travels>,
{
    encode_result::<R>(result, buffer).map(Answer::Message)
}

fn encode_result<R>(result: R, mut buffer: Vec<u8>) -> Result<Vec<u8>, Failure>
where
    R: CallResult<Value: Travels, Error: Travels>,
{
    encoding::write(&result.into_result(), &mut buffer)
        .map_err(|error| Failure::Executed(BadAnswer::Unencodable(encoding::problem(&error))))?;
    Ok(buffer)
}

/// The answer that carries the items of a stream, or the error with which it did not begin.
pub(crate) fn answer_streaming<R, E, S>(
    result: Result<S, E>,
    buffer: Vec<u8>,
) -> Result<Answer, Failure>
where
    R: CallResult<Value: Travels, Error: Travels>,
    E: Travels,
    S: Stream<Item = R> + Send + 'static,
{
    match result {
        Ok(items) => Ok(Answer::Stream(Box::pin(Encoded {
            items: Box::pin(items),
        }))),
        Err(error) => encode_result::<Result<(), E>>(Err(error), buffer).map(Answer::Message),
    }
}

/// The items of a stream argument, on their way in.
pub struct IncomingItems {
    pub(crate) items: Items,
    /// Who sends them, for errors.
    pub(crate) edge: Edge,
}

/// Sends the items of a stream argument along.
pub(crate) fn outgoing<R>(items: impl Stream<Item = R> + Send + 'static) -> Option<Items>
where
    R: CallResult<Value: Travels, Error: Travels>,
{
    Some(Box::pin(Encoded {
        items: Box::pin(items),
    }))
}

/// Takes the items of a stream argument.
pub(crate) fn incoming<R>(items: Option<IncomingItems>) -> Result<StreamingOf<R>, Failure>
where
    R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
{
    let IncomingItems { items, edge } =
        items.ok_or_else(|| undecodable("the stream is missing".to_owned()))?;
    Ok(decoded::<R>(items, edge))
}

/// The stream of results that `items` carry; a failure ends it.
pub(crate) fn decoded<R>(items: Items, edge: Edge) -> StreamingOf<R>
where
    R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
{
    Streaming::new(Decoded::<R> {
        items,
        edge,
        over: false,
        result: std::marker::PhantomData,
    })
}

/// The result that `message` carries.
pub(crate) fn decode_result<R>(message: &Bytes) -> Result<R, Failure>
where
    R: CallResult<Value: Travels, Error: Travels>,
{
    // A long `Bytes` is not copied: what follows the mark of success is its encoding.
    if TypeId::of::<R::Value>() == TypeId::of::<Bytes>()
        && let Some((&0, rest)) = message.split_first()
        && let Ok((value, [])) = take(message, rest)
    {
        return Ok(R::from_result(Ok(value)));
    }
    decode::<Result<R::Value, R::Error>>(message)
        .map(R::from_result)
        .map_err(|error| Failure::Executed(BadAnswer::Undecodable(error)))
}

/// A stream of results as a stream of messages.
struct Encoded<R> {
    items: Pin<Box<dyn Stream<Item = R> + Send>>,
}

impl<R: CallResult<Value: Travels, Error: Travels>> Stream for Encoded<R> {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items
            .as_mut()
            .poll_next(cx)
            .map(|item| item.map(|item| encode_result::<R>(item, Vec::new()).map(Bytes::from)))
    }
}

/// A stream of messages as a stream of results.
struct Decoded<R> {
    items: Items,
    edge: Edge,
    over: bool,
    result: std::marker::PhantomData<fn() -> R>,
}

impl<R> Stream for Decoded<R>
where
    R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
{
    type Item = Result<R::Value, R::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(Pin::new(&mut self.items).poll_next(cx));
        let decoded = match next {
            None => return Poll::Ready(None),
            Some(message) => message.and_then(|message| decode_result::<R>(&message)),
        };
        Poll::Ready(Some(match decoded {
            Ok(result) => result.into_result(),
            Err(failure) => {
                self.over = true;
                Err(failure.at(self.edge.clone()).into())
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fn message<T: Serialize>(value: &T) -> Bytes {
        let mut out = Vec::new();
        encoding::write(value, &mut out).unwrap();
        Bytes::from(out)
    }

    fn lies_within(part: &Bytes, whole: &Bytes) -> bool {
        whole.as_ptr_range().contains(&part.as_ptr())
    }

    #[test]
    fn a_long_bytes_is_a_part_of_its_message_and_a_short_one_is_not() {
        for (length, shared) in [
            (0, false),
            (100, false),
            (SHARED_BYTES, true),
            (70_000, true),
        ] {
            let sent = Bytes::from(vec![7; length]);

            let arguments = message(&(1_u8, sent.clone(), "end"));
            let mut reader = ArgumentReader::new(&arguments);
            assert_eq!(reader.value::<u8>("first").unwrap(), 1);
            let came: Bytes = reader.value("body").unwrap();
            assert_eq!(reader.text("last").unwrap(), "end");
            reader.end().unwrap();
            assert_eq!((&came, lies_within(&came, &arguments)), (&sent, shared));

            let answer = message(&Ok::<_, CallError>(sent.clone()));
            let came = decode_result::<Result<Bytes, CallError>>(&answer)
                .unwrap()
                .unwrap();
            assert_eq!((&came, lies_within(&came, &answer)), (&sent, shared));
        }
    }

    #[test]
    fn a_result_of_bytes_is_read_to_its_end_and_errors_are_read_too() {
        let name = |text| anylith_core::Name::new(text).unwrap();
        let edge = Edge::new(name("A"), name("B"), name("c"));
        let error = Err::<Bytes, _>(CallError::Cancelled { edge });
        let came = decode_result::<Result<Bytes, CallError>>(&message(&error)).unwrap();
        assert_eq!(came, error);
        let mut longer = message(&Ok::<_, CallError>(Bytes::from_static(b"x"))).to_vec();
        longer.push(0);
        assert!(decode_result::<Result<Bytes, CallError>>(&longer.into()).is_err());
        let shorter = Bytes::from_static(&[0, 9, 1]);
        assert!(decode_result::<Result<Bytes, CallError>>(&shorter).is_err());
    }
}
