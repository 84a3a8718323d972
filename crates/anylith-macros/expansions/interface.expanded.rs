// What the macro makes of `interface.rs`.

/// Keeps one shopping cart per customer.
pub trait Cart: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// How many units are in the cart of `user`.
    fn count(
        &self,
        user: &str,
    ) -> impl ::core::future::Future<
        Output = Result<u32, CartError>,
    > + ::core::marker::Send;
    /// Adds `line`.
    fn add(
        &self,
        user: &UserId,
        line: Line,
    ) -> impl ::core::future::Future<
        Output = Result<(), CartError>,
    > + ::core::marker::Send;
    /// Tells of every change from now on.
    fn watch(
        &self,
        user: UserId,
    ) -> impl ::core::future::Future<
        Output = ::core::result::Result<
            impl ::anylith::__rt::Stream<
                Item = Result<Line, CartError>,
            > + ::core::marker::Send + 'static + use<Self>,
            CartError,
        >,
    > + ::core::marker::Send;
}
const _: () = {
    #[allow(dead_code, deprecated)]
    fn every_type_travels() {
        ::anylith::__rt::assert_answer::<Result<u32, CartError>>();
        ::anylith::__rt::assert_argument::<UserId>();
        ::anylith::__rt::assert_argument::<Line>();
        ::anylith::__rt::assert_answer::<Result<(), CartError>>();
        ::anylith::__rt::assert_argument::<UserId>();
        ::anylith::__rt::assert_answer::<Result<Line, CartError>>();
        ::anylith::__rt::assert_answer::<::core::result::Result<(), CartError>>();
    }
};
#[doc(hidden)]
#[allow(deprecated)]
pub trait __CartObject: ::core::marker::Send + ::core::marker::Sync + 'static {
    fn __call_count<'__call>(
        &'__call self,
        user: &'__call str,
    ) -> ::anylith::__rt::BoxFuture<'__call, Result<u32, CartError>>;
    fn __call_add<'__call>(
        &'__call self,
        user: &'__call UserId,
        line: Line,
    ) -> ::anylith::__rt::BoxFuture<'__call, Result<(), CartError>>;
    fn __call_watch<'__call>(
        &'__call self,
        user: UserId,
    ) -> ::anylith::__rt::BoxFuture<
        '__call,
        ::core::result::Result<
            ::anylith::__rt::StreamingOf<Result<Line, CartError>>,
            CartError,
        >,
    >;
}
#[doc(hidden)]
#[allow(deprecated)]
impl<__C: Cart> __CartObject for __C {
    fn __call_count<'__call>(
        &'__call self,
        user: &'__call str,
    ) -> ::anylith::__rt::BoxFuture<'__call, Result<u32, CartError>> {
        ::std::boxed::Box::pin(async move { Cart::count(self, user).await })
    }
    fn __call_add<'__call>(
        &'__call self,
        user: &'__call UserId,
        line: Line,
    ) -> ::anylith::__rt::BoxFuture<'__call, Result<(), CartError>> {
        ::std::boxed::Box::pin(async move { Cart::add(self, user, line).await })
    }
    fn __call_watch<'__call>(
        &'__call self,
        user: UserId,
    ) -> ::anylith::__rt::BoxFuture<
        '__call,
        ::core::result::Result<
            ::anylith::__rt::StreamingOf<Result<Line, CartError>>,
            CartError,
        >,
    > {
        ::std::boxed::Box::pin(async move {
            Cart::watch(self, user).await.map(::anylith::__rt::Streaming::new)
        })
    }
}
///Calls a [`Cart`], in this process or in another. Cloning it is cheap, and all clones are one edge.
pub struct CartClient {
    edge: ::anylith::__rt::ClientEdge<dyn __CartObject>,
}
impl CartClient {
    ///A client of `implementation`, which it calls directly: for tests, and for a `Cart` outside of an application.
    #[allow(dead_code, deprecated)]
    pub fn local(implementation: impl Cart) -> Self {
        Self {
            edge: ::anylith::__rt::ClientEdge::local::<
                Self,
                _,
            >(::std::sync::Arc::new(implementation)),
        }
    }
}
impl ::core::clone::Clone for CartClient {
    fn clone(&self) -> Self {
        Self {
            edge: ::core::clone::Clone::clone(&self.edge),
        }
    }
}
impl ::core::fmt::Debug for CartClient {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        ::core::fmt::Debug::fmt(&self.edge, f)
    }
}
#[allow(deprecated, refining_impl_trait, clippy::needless_arbitrary_self_type)]
impl Cart for CartClient {
    async fn count(&self, user: &str) -> Result<u32, CartError> {
        #[allow(unused_imports)]
        use ::anylith::__rt::Unchecked as _;
        match self.edge.begin(0u16) {
            ::anylith::__rt::Call::Local(__call) => {
                let __object = __call.object();
                ::anylith::__rt::AnswerOf::<Result<u32, CartError>>::new()
                    .checked()
                    .local(__call, __object.__call_count(user))
                    .await
            }
            ::anylith::__rt::Call::Arrived(__call) => {
                let __call = __call.call();
                let __object = __call.object();
                ::anylith::__rt::AnswerOf::<Result<u32, CartError>>::new()
                    .checked()
                    .local(__call, __object.__call_count(user))
                    .await
            }
            ::anylith::__rt::Call::Remote(__call) => {
                ::anylith::__rt::AnswerOf::<Result<u32, CartError>>::new()
                    .checked()
                    .remote(
                        __call,
                        &|__arguments: &mut ::anylith::__rt::ArgumentWriter<'_>| {
                            __arguments.text("user", user)?;
                            ::core::result::Result::Ok(())
                        },
                        ::core::option::Option::None,
                    )
                    .await
            }
        }
    }
    async fn add(&self, user: &UserId, line: Line) -> Result<(), CartError> {
        #[allow(unused_imports)]
        use ::anylith::__rt::Unchecked as _;
        match self.edge.begin(1u16) {
            ::anylith::__rt::Call::Local(__call) => {
                let __object = __call.object();
                ::anylith::__rt::AnswerOf::<Result<(), CartError>>::new()
                    .checked()
                    .local(__call, __object.__call_add(user, line))
                    .await
            }
            ::anylith::__rt::Call::Arrived(__call) => {
                let __call = __call.call();
                let __object = __call.object();
                ::anylith::__rt::AnswerOf::<Result<(), CartError>>::new()
                    .checked()
                    .local(__call, __object.__call_add(user, line))
                    .await
            }
            ::anylith::__rt::Call::Remote(__call) => {
                ::anylith::__rt::AnswerOf::<Result<(), CartError>>::new()
                    .checked()
                    .remote(
                        __call
                            .routed_by(
                                &|__arguments: &mut ::anylith::__rt::ArgumentWriter<'_>| {
                                    ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
                                        .checked()
                                        .write(__arguments, "user", user)?;
                                    ::core::result::Result::Ok(())
                                },
                            ),
                        &|__arguments: &mut ::anylith::__rt::ArgumentWriter<'_>| {
                            ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
                                .checked()
                                .write(__arguments, "user", user)?;
                            ::anylith::__rt::ArgumentOf::<Line, Line>::new()
                                .checked()
                                .write(__arguments, "line", &line)?;
                            ::core::result::Result::Ok(())
                        },
                        ::core::option::Option::None,
                    )
                    .await
            }
        }
    }
    async fn watch(
        &self,
        user: UserId,
    ) -> ::core::result::Result<
        ::anylith::__rt::StreamingOf<Result<Line, CartError>>,
        CartError,
    > {
        #[allow(unused_imports)]
        use ::anylith::__rt::Unchecked as _;
        match self.edge.begin(2u16) {
            ::anylith::__rt::Call::Local(__call) => {
                let __object = __call.object();
                ::anylith::__rt::StreamOf::<Result<Line, CartError>, CartError>::new()
                    .checked()
                    .local(__call, __object.__call_watch(user))
                    .await
            }
            ::anylith::__rt::Call::Arrived(__call) => {
                let __call = __call.call();
                let __object = __call.object();
                ::anylith::__rt::StreamOf::<Result<Line, CartError>, CartError>::new()
                    .checked()
                    .local(__call, __object.__call_watch(user))
                    .await
            }
            ::anylith::__rt::Call::Remote(__call) => {
                ::anylith::__rt::StreamOf::<Result<Line, CartError>, CartError>::new()
                    .checked()
                    .remote(
                        __call,
                        &|__arguments: &mut ::anylith::__rt::ArgumentWriter<'_>| {
                            ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
                                .checked()
                                .write(__arguments, "user", &user)?;
                            ::core::result::Result::Ok(())
                        },
                        ::core::option::Option::None,
                    )
                    .await
            }
        }
    }
}
#[allow(deprecated)]
const _: () = {
    #[allow(unused_mut)]
    fn __print(
        mut __print: ::anylith::__rt::InterfacePrint,
    ) -> ::anylith::__rt::InterfacePrint {
        #[allow(unused_imports)]
        use ::anylith::__rt::Unchecked as _;
        __print = __print.method("count");
        __print = ::anylith::__rt::ArgumentOf::<
            ::std::string::String,
            ::std::string::String,
        >::new()
            .checked()
            .print(__print, "user");
        __print = ::anylith::__rt::AnswerOf::<Result<u32, CartError>>::new()
            .checked()
            .print(__print);
        __print = __print.method("add");
        __print = ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
            .checked()
            .print(__print, "user");
        __print = ::anylith::__rt::ArgumentOf::<Line, Line>::new()
            .checked()
            .print(__print, "line");
        __print = ::anylith::__rt::AnswerOf::<Result<(), CartError>>::new()
            .checked()
            .print(__print);
        __print = __print.method("watch");
        __print = ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
            .checked()
            .print(__print, "user");
        __print = ::anylith::__rt::StreamOf::<Result<Line, CartError>, CartError>::new()
            .checked()
            .print(__print);
        __print
    }
    impl ::anylith::__rt::Interface for CartClient {
        const NAME: &'static str = "Cart";
        const SUMMARY: &'static str = "Keeps one shopping cart per customer.";
        const METHODS: &'static [::anylith::__rt::Method] = &[
            ::anylith::__rt::Method {
                name: "count",
                idempotent: true,
                shape: ::anylith::__rt::MethodShape::Unary,
                routed: ::core::option::Option::None,
            },
            ::anylith::__rt::Method {
                name: "add",
                idempotent: false,
                shape: ::anylith::__rt::MethodShape::Unary,
                routed: ::core::option::Option::Some("user"),
            },
            ::anylith::__rt::Method {
                name: "watch",
                idempotent: false,
                shape: ::anylith::__rt::MethodShape::ServerStreaming,
                routed: ::core::option::Option::None,
            },
        ];
        type Object = dyn __CartObject;
        fn fingerprint() -> ::anylith::__rt::Fingerprint {
            static PRINT: ::std::sync::OnceLock<::anylith::__rt::Fingerprint> = ::std::sync::OnceLock::new();
            *PRINT
                .get_or_init(|| __print(::anylith::__rt::InterfacePrint::new()).finish())
        }
        fn misfits() -> ::std::vec::Vec<::anylith::__rt::MisfitManifest> {
            __print(::anylith::__rt::InterfacePrint::search("Cart")).misfits()
        }
        fn from_edge(edge: ::anylith::__rt::ClientEdge<Self::Object>) -> Self {
            Self { edge }
        }
    }
};
#[allow(deprecated)]
impl<__C: Cart> ::anylith::__rt::ImplementedBy<__C> for CartClient {
    fn object(
        implementation: ::std::sync::Arc<__C>,
    ) -> ::std::sync::Arc<dyn __CartObject> {
        implementation
    }
    #[allow(unused_variables, unused_mut)]
    fn serve(
        __implementation: ::std::sync::Arc<__C>,
        __call: ::anylith::__rt::IncomingCall,
    ) -> ::anylith::__rt::BoxFuture<'static, ::anylith::__rt::Answer> {
        #[allow(unused_imports)]
        use ::anylith::__rt::Unchecked as _;
        match __call.method() {
            0u16 => {
                __call
                    .run(move |__message, __items, __buffer| async move {
                        let mut __arguments = ::anylith::__rt::ArgumentReader::new(
                            &__message,
                        );
                        let user = __arguments.text("user")?;
                        __arguments.end()?;
                        ::anylith::__rt::AnswerOf::<Result<u32, CartError>>::new()
                            .checked()
                            .encode(
                                Cart::count(&*__implementation, user).await,
                                __buffer,
                            )
                    })
            }
            1u16 => {
                __call
                    .run(move |__message, __items, __buffer| async move {
                        let mut __arguments = ::anylith::__rt::ArgumentReader::new(
                            &__message,
                        );
                        let user = ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
                            .checked()
                            .read(&mut __arguments, "user")?;
                        let line = ::anylith::__rt::ArgumentOf::<Line, Line>::new()
                            .checked()
                            .read(&mut __arguments, "line")?;
                        __arguments.end()?;
                        ::anylith::__rt::AnswerOf::<Result<(), CartError>>::new()
                            .checked()
                            .encode(
                                Cart::add(&*__implementation, &user, line).await,
                                __buffer,
                            )
                    })
            }
            2u16 => {
                __call
                    .run(move |__message, __items, __buffer| async move {
                        let mut __arguments = ::anylith::__rt::ArgumentReader::new(
                            &__message,
                        );
                        let user = ::anylith::__rt::ArgumentOf::<UserId, UserId>::new()
                            .checked()
                            .read(&mut __arguments, "user")?;
                        __arguments.end()?;
                        ::anylith::__rt::StreamOf::<
                            Result<Line, CartError>,
                            CartError,
                        >::new()
                            .checked()
                            .encode(
                                Cart::watch(&*__implementation, user).await,
                                __buffer,
                            )
                    })
            }
            _ => __call.unknown_method(),
        }
    }
}
