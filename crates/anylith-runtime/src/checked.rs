//! Lets an interface with a type that cannot travel still expand to code that compiles, so that the user sees one
//! error for each such type, at its own token, and no second wave from everything that uses it.
//!
//! An expansion says `ArgumentOf::<T, Owned>::new().checked()`. Where `T` can travel this is the inherent method below,
//! which gives a [`Checked`]. Where it cannot, method resolution passes over the inherent method, whose bounds do not
//! hold, and finds that of the trait [`Unchecked`], which gives a [`Stub`] with the same methods. The stub never runs:
//! next to it, `assert_argument` or `assert_answer` is the error.

use std::marker::PhantomData;

use anylith_core::CallError;
use anylith_rpc::{Answer, Failure, Items};
use futures_core::Stream;

use crate::{
    edge::{RemoteCall, WriteArguments},
    interface::{CallResult, FromCallError, InterfacePrint, Travels},
    local::{LocalCall, LocalFuture},
    message::{self, ArgumentReader, ArgumentWriter, IncomingItems, PassedAs},
    serve::BoxFuture,
    streaming::{Streaming, StreamingOf},
};

/// Fails to compile unless `T` can travel.
pub fn assert_argument<T: Travels>() {}

/// Fails to compile unless `R` is a result that can travel, with room for a failed call.
pub fn assert_answer<R>()
where
    R: CallResult,
    R::Value: Travels,
    R::Error: Travels + FromCallError,
{
}

/// An argument that is passed as a `T` and arrives as an `Owned`.
#[derive(Debug)]
pub struct ArgumentOf<T: ?Sized, Owned>(PhantomData<fn(&T) -> Owned>);

/// What a method returns.
#[derive(Debug)]
pub struct AnswerOf<R>(PhantomData<fn() -> R>);

/// A stream of `R`, which is not there at all if it begins with an `E`.
#[derive(Debug)]
pub struct StreamOf<R, E>(PhantomData<fn() -> (R, E)>);

/// A type that was found to travel.
#[derive(Debug)]
pub struct Checked<W>(PhantomData<W>);

/// A type that was found not to.
#[derive(Debug)]
pub struct Stub<W>(PhantomData<W>);

/// The way for types that cannot travel.
pub trait Unchecked: Sized {
    /// A stand-in that never runs.
    fn checked(self) -> Stub<Self> {
        Stub(PhantomData)
    }
}

const STUB: &str = "the interface does not compile";

macro_rules! questions {
    ($($question:ident<$($type:ident $(: ?$sized:ident)?),+> where {$($bounds:tt)+})+) => {$(
        impl<$($type $(: ?$sized)?),+> $question<$($type),+> {
            /// Asks.
            #[expect(clippy::new_without_default, reason = "only expansions call it")]
            pub fn new() -> Self {
                Self(PhantomData)
            }
        }

        impl<$($type $(: ?$sized)?),+> $question<$($type),+> where $($bounds)+ {
            /// It can travel.
            pub fn checked(self) -> Checked<Self> {
                Checked(PhantomData)
            }
        }

        impl<$($type $(: ?$sized)?),+> Unchecked for $question<$($type),+> {}
    )+};
}

questions! {
    ArgumentOf<T: ?Sized, Owned> where {T: PassedAs<Owned>, Owned: Travels}
    AnswerOf<R> where {R: CallResult<Value: Travels, Error: Travels + From<CallError>>}
    StreamOf<R, E> where {
        R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
        E: Travels + From<CallError>
    }
}

impl<T: ?Sized + PassedAs<Owned>, Owned: Travels> Checked<ArgumentOf<T, Owned>> {
    /// Writes the argument.
    pub fn write(
        &self,
        arguments: &mut ArgumentWriter<'_>,
        name: &str,
        value: &T,
    ) -> Result<(), Failure> {
        arguments.value(name, value)
    }

    /// Reads the argument.
    pub fn read(&self, arguments: &mut ArgumentReader<'_>, name: &str) -> Result<Owned, Failure> {
        arguments.value(name)
    }

    /// Adds the argument to a fingerprint.
    pub fn print(&self, print: InterfacePrint, name: &str) -> InterfacePrint {
        print.argument::<Owned>(name)
    }
}

impl<T: ?Sized, Owned> Stub<ArgumentOf<T, Owned>> {
    pub fn write(&self, _: &mut ArgumentWriter<'_>, _: &str, _: &T) -> Result<(), Failure> {
        unreachable!("{STUB}")
    }

    pub fn read(&self, _: &mut ArgumentReader<'_>, _: &str) -> Result<Owned, Failure> {
        unreachable!("{STUB}")
    }

    pub fn print(&self, _: InterfacePrint, _: &str) -> InterfacePrint {
        unreachable!("{STUB}")
    }
}

impl<R> Checked<AnswerOf<R>>
where
    R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
{
    /// Makes a call in this process.
    #[inline]
    pub fn local<'c, O: ?Sized + Send + Sync + 'static>(
        &self,
        call: LocalCall<'c, O>,
        future: BoxFuture<'c, R>,
    ) -> LocalFuture<'c, R, O> {
        call.run(future)
    }

    /// Makes a call to another process.
    ///
    /// It is boxed, so that a call which stays in this process does not carry the room for one that leaves it around:
    /// that is 2 KiB in the future of each caller, and they are moved with it.
    pub fn remote<'c, O: ?Sized + Send + Sync + 'static>(
        &self,
        call: RemoteCall<'c, O>,
        write: WriteArguments<'c>,
        items: Option<Items>,
    ) -> BoxFuture<'c, R> {
        Box::pin(call.unary(write, items))
    }

    /// The message that carries the answer.
    pub fn encode(&self, result: R, buffer: Vec<u8>) -> Result<Answer, Failure> {
        message::answer::<R>(result, buffer)
    }

    /// Adds the answer to a fingerprint.
    pub fn print(&self, print: InterfacePrint) -> InterfacePrint {
        print.answer::<R>()
    }
}

impl<R: Send> Stub<AnswerOf<R>> {
    pub fn local<'c, O: ?Sized>(
        &self,
        _: LocalCall<'c, O>,
        future: BoxFuture<'c, R>,
    ) -> BoxFuture<'c, R> {
        future
    }

    pub fn remote<'c, O: ?Sized>(
        &self,
        _: RemoteCall<'c, O>,
        _: WriteArguments<'c>,
        _: Option<Items>,
    ) -> BoxFuture<'c, R> {
        unreachable!("{STUB}")
    }

    pub fn encode(&self, _: R, _: Vec<u8>) -> Result<Answer, Failure> {
        unreachable!("{STUB}")
    }

    pub fn print(&self, _: InterfacePrint) -> InterfacePrint {
        unreachable!("{STUB}")
    }
}

impl<R, E> Checked<StreamOf<R, E>>
where
    R: CallResult<Value: Travels, Error: Travels + From<CallError>>,
    E: Travels + From<CallError>,
{
    /// Makes a call in this process that is answered by a stream.
    pub fn local<'c, O: ?Sized + Send + Sync + 'static>(
        &self,
        call: LocalCall<'c, O>,
        future: BoxFuture<'c, Result<StreamingOf<R>, E>>,
    ) -> impl Future<Output = Result<StreamingOf<R>, E>> + Send + use<'c, R, E, O> {
        call.run_streaming::<R, E>(future)
    }

    /// Makes a call to another process that is answered by a stream. It is boxed as the other one is.
    pub fn remote<'c, O: ?Sized + Send + Sync + 'static>(
        &self,
        call: RemoteCall<'c, O>,
        write: WriteArguments<'c>,
        items: Option<Items>,
    ) -> BoxFuture<'c, Result<StreamingOf<R>, E>> {
        Box::pin(call.streaming::<R, E>(write, items))
    }

    /// The messages that carry the answer.
    pub fn encode<S: Stream<Item = R> + Send + 'static>(
        &self,
        result: Result<S, E>,
        buffer: Vec<u8>,
    ) -> Result<Answer, Failure> {
        message::answer_streaming::<R, E, S>(result, buffer)
    }

    /// The messages that carry a stream argument.
    pub fn outgoing<S: Stream<Item = R> + Send + 'static>(&self, items: S) -> Option<Items> {
        message::outgoing::<R>(items)
    }

    /// The stream argument that messages carry.
    pub fn incoming(&self, items: Option<IncomingItems>) -> Result<StreamingOf<R>, Failure> {
        message::incoming::<R>(items)
    }

    /// Adds the answer to a fingerprint.
    pub fn print(&self, print: InterfacePrint) -> InterfacePrint {
        print.answer::<Result<(), E>>().items::<R>("")
    }

    /// Adds a stream argument to a fingerprint.
    pub fn print_argument(&self, print: InterfacePrint, name: &str) -> InterfacePrint {
        print.items::<R>(name)
    }
}

impl<R: CallResult, E: Send> Stub<StreamOf<R, E>> {
    pub fn local<'c, O: ?Sized>(
        &self,
        _: LocalCall<'c, O>,
        future: BoxFuture<'c, Result<StreamingOf<R>, E>>,
    ) -> BoxFuture<'c, Result<StreamingOf<R>, E>> {
        future
    }

    pub fn remote<'c, O: ?Sized>(
        &self,
        _: RemoteCall<'c, O>,
        _: WriteArguments<'c>,
        _: Option<Items>,
    ) -> BoxFuture<'c, Result<StreamingOf<R>, E>> {
        unreachable!("{STUB}")
    }

    pub fn encode<S>(&self, _: Result<S, E>, _: Vec<u8>) -> Result<Answer, Failure> {
        unreachable!("{STUB}")
    }

    pub fn outgoing<S>(&self, _: S) -> Option<Items> {
        unreachable!("{STUB}")
    }

    pub fn incoming(
        &self,
        _: Option<IncomingItems>,
    ) -> Result<Streaming<R::Value, R::Error>, Failure> {
        unreachable!("{STUB}")
    }

    pub fn print(&self, _: InterfacePrint) -> InterfacePrint {
        unreachable!("{STUB}")
    }

    pub fn print_argument(&self, _: InterfacePrint, _: &str) -> InterfacePrint {
        unreachable!("{STUB}")
    }
}
