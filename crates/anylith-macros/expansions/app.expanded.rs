// What the macro makes of `app.rs`.

/// The online shop.
#[derive(Clone, Copy, Debug)]
pub struct Shop;
impl ::anylith::__rt::Provides<<CartService as ::anylith::__rt::Component>::Interface>
for Shop {}
impl ::anylith::__rt::Provides<<Frontend as ::anylith::__rt::Component>::Interface>
for Shop {}
const _: () = ::anylith::__rt::assert_first_of_its_name(
    <Frontend as ::anylith::__rt::Component>::NAME,
    &[<CartService as ::anylith::__rt::Component>::NAME],
);
const _: () = {
    #[allow(dead_code)]
    fn closed() {
        ::anylith::__rt::assert_closed::<Shop, CartService>();
        ::anylith::__rt::assert_closed::<Shop, Frontend>();
    }
};
impl ::anylith::__rt::Application for Shop {
    const NAME: &'static str = "shop";
    const SUMMARY: &'static str = "The online shop.";
    fn components() -> ::std::vec::Vec<::anylith::__rt::Registration> {
        ::std::vec![
            ::anylith::__rt::Registration::of:: < CartService > (),
            ::anylith::__rt::Registration::of:: < Frontend > ()
        ]
    }
}
#[allow(dead_code)]
impl Shop {
    /// Runs this process in the role that it was given, until it is told to stop. See
    /// [`anylith::Builder::run`](::anylith::Builder::run).
    pub async fn run() -> ::std::process::ExitCode {
        Self::builder().run().await
    }
    /// Starts this process in the role that it was given, beside what the process does already.
    /// See [`anylith::Builder::start`](::anylith::Builder::start).
    ///
    /// # Errors
    ///
    /// What kept a component from starting, or is wrong in `anylith.toml`.
    pub async fn start() -> ::core::result::Result<
        ::anylith::Running,
        ::anylith::AppError,
    > {
        Self::builder().start().await
    }
    /// Takes components that were made by hand, before the application runs.
    pub fn builder() -> ::anylith::Builder<Self> {
        ::anylith::Builder::new()
    }
}
