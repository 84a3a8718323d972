//! The code of a component that is no call: its start, its own work, its stop.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::ambient::{self, Frame};

pin_project! {
    /// The code of a component where no call is under way: its hooks. A panic comes out as a value.
    pub(crate) struct Framed<F> {
        #[pin]
        pub(crate) future: F,
        pub(crate) frame: Frame,
    }
}

impl<F: Future> Future for Framed<F> {
    type Output = Result<F::Output, String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ambient::under(this.frame, || this.future.poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
