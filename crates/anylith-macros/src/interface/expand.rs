//! Writes out an interface: the trait, its client, and what serves it to other processes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Expr, Ident, Lit, Meta, Type, ext::IdentExt as _, parse_quote, spanned::Spanned,
};

use super::model::{Answer, Argument, ArgumentKind, Interface, Items, Method};

/// The whole expansion.
pub(super) fn interface(interface: &Interface) -> TokenStream {
    let parts = [
        user_trait(interface),
        assertions(interface),
        object_trait(interface),
        client(interface),
        client_implements_trait(interface),
        client_is_interface(interface),
        served_by_implementation(interface),
    ];
    quote!(#(#parts)*)
}

/// The name of the client of a trait.
pub(crate) fn client_name(interface: &Ident) -> Ident {
    let interface = interface.unraw();
    format_ident!("{interface}Client")
}

/// The name of the object-safe twin of a trait.
fn object_name(interface: &Ident) -> Ident {
    let interface = interface.unraw();
    format_ident!("__{interface}Object")
}

/// The name of a method in the object-safe twin: not the user's, so that with both traits in scope a call
/// means the user's.
fn object_method(method: &Ident) -> Ident {
    let method = method.unraw();
    format_ident!("__call_{method}")
}

/// The user's own trait. Its futures and streams can be sent between threads, since callers are not told
/// in which thread, or process, the implementation runs.
fn user_trait(interface: &Interface) -> TokenStream {
    let Interface {
        attributes,
        visibility,
        name,
        boxing,
        methods,
    } = interface;
    let methods = methods.iter().map(|method| {
        let Method {
            attributes, name, ..
        } = method;
        let arguments = method.arguments.iter().map(in_signature);
        let output = match &method.answer {
            Answer::Value(result) => quote!(#result),
            Answer::Stream { items, error } => {
                let stream = stream_bound(items);
                // It lives on its own: it borrows neither the component nor the arguments. Where an argument is a
                // stream, its type has no name to be listed in `use`; the bound `'static` says it there.
                let captures = match method.stream_argument() {
                    None => quote!(+ use<Self>),
                    Some(_) => TokenStream::new(),
                };
                quote!(::core::result::Result<#stream #captures, #error>)
            }
        };
        if boxing.is_some() {
            return quote! {
                #(#attributes)*
                async fn #name(&self, #(#arguments),*) -> #output;
            };
        }
        quote! {
            #(#attributes)*
            fn #name(
                &self, #(#arguments),*
            ) -> impl ::core::future::Future<Output = #output> + ::core::marker::Send;
        }
    });
    quote! {
        #(#attributes)*
        #visibility trait #name:
            ::core::marker::Send + ::core::marker::Sync + 'static
        {
            #(#methods)*
        }
    }
}

fn stream_bound(items: &Items) -> TokenStream {
    let result = &items.result;
    // An implementation whose stream borrows is told so at the user's own line, to which these belong.
    let own = quote_spanned!(result.span()=> 'static);
    quote! {
        impl ::anylith::__rt::Stream<Item = #result> + ::core::marker::Send + #own
    }
}

fn streaming(items: &Items) -> TokenStream {
    let result = &items.result;
    quote_spanned!(result.span()=> ::anylith::__rt::StreamingOf<#result>)
}

/// An argument as the user's trait and its implementations write it.
fn in_signature(argument: &Argument) -> TokenStream {
    let name = &argument.name;
    let written = match &argument.kind {
        ArgumentKind::Owned(owned) => quote!(#owned),
        ArgumentKind::Str => quote!(&str),
        ArgumentKind::Bytes => quote!(&[u8]),
        ArgumentKind::Reference { target, .. } => quote!(&#target),
        ArgumentKind::Stream(items) => stream_bound(items),
    };
    quote!(#name: #written)
}

/// The twin of the trait whose methods can be called through a pointer. Every implementation has it.
fn object_trait(interface: &Interface) -> TokenStream {
    let Interface {
        visibility,
        name: trait_name,
        ..
    } = interface;
    let object = object_name(trait_name);
    let (declarations, definitions): (Vec<_>, Vec<_>) = interface
        .methods
        .iter()
        .map(|method| {
            let name = &method.name;
            let arguments = method.arguments.iter().map(|argument| {
                let name = &argument.name;
                let written = match &argument.kind {
                    ArgumentKind::Owned(owned) => quote!(#owned),
                    ArgumentKind::Str => quote!(&'__call str),
                    ArgumentKind::Bytes => quote!(&'__call [u8]),
                    ArgumentKind::Reference { target, .. } => quote!(&'__call #target),
                    ArgumentKind::Stream(items) => streaming(items),
                };
                quote!(#name: #written)
            });
            let output = answer_type(&method.answer);
            let object_method = object_method(name);
            let signature = quote! {
                fn #object_method<'__call>(
                    &'__call self, #(#arguments),*
                ) -> ::anylith::__rt::BoxFuture<'__call, #output>
            };
            let names = method.arguments.iter().map(|argument| &argument.name);
            let call = quote!(#trait_name::#name(self, #(#names),*));
            let body = match &method.answer {
                Answer::Value(_) if interface.boxing.is_some() => call,
                Answer::Value(_) => quote!(::std::boxed::Box::pin(async move { #call.await })),
                Answer::Stream { .. } => quote! {
                    ::std::boxed::Box::pin(async move {
                        #call.await.map(::anylith::__rt::Streaming::new)
                    })
                },
            };
            (quote!(#signature;), quote!(#signature { #body }))
        })
        .unzip();
    quote! {
        #[doc(hidden)]
        #[allow(deprecated)]
        #visibility trait #object:
            ::core::marker::Send + ::core::marker::Sync + 'static
        {
            #(#declarations)*
        }

        #[doc(hidden)]
        #[allow(deprecated)]
        impl<__C: #trait_name> #object for __C {
            #(#definitions)*
        }
    }
}

/// What a method returns through the object and the client.
fn answer_type(answer: &Answer) -> TokenStream {
    match answer {
        Answer::Value(result) => quote!(#result),
        Answer::Stream { items, error } => {
            let stream = streaming(items);
            quote!(::core::result::Result<#stream, #error>)
        }
    }
}

fn client(interface: &Interface) -> TokenStream {
    let Interface {
        visibility, name, ..
    } = interface;
    let (client, object, shown) = (client_name(name), object_name(name), name.unraw());
    let about = format!(
        "Calls a [`{shown}`], in this process or in another. Cloning it is cheap, and all clones are one edge."
    );
    let about_local = format!(
        "A client of `implementation`, which it calls directly: for tests, and for a `{shown}` outside of an application."
    );
    quote! {
        #[doc = #about]
        #visibility struct #client {
            edge: ::anylith::__rt::ClientEdge<dyn #object>,
        }

        impl #client {
            #[doc = #about_local]
            #[allow(dead_code, deprecated)]
            #visibility fn local(implementation: impl #name) -> Self {
                Self { edge: ::anylith::__rt::ClientEdge::local::<Self, _>(::std::sync::Arc::new(implementation)) }
            }
        }

        impl ::core::clone::Clone for #client {
            fn clone(&self) -> Self {
                Self { edge: ::core::clone::Clone::clone(&self.edge) }
            }
        }

        impl ::core::fmt::Debug for #client {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.edge, f)
            }
        }
    }
}

fn client_implements_trait(interface: &Interface) -> TokenStream {
    let (name, boxing) = (&interface.name, &interface.boxing);
    let client = client_name(name);
    let methods = interface.methods.iter().enumerate().map(|(index, method)| {
        let index = index as u16;
        let method_name = &method.name;
        let object_method = object_method(method_name);
        let arguments = method.arguments.iter().map(in_signature);
        let output = answer_type(&method.answer);
        let passed = method.arguments.iter().map(|argument| {
            let name = &argument.name;
            match &argument.kind {
                ArgumentKind::Stream(_) => quote!(::anylith::__rt::Streaming::new(#name)),
                _ => quote!(#name),
            }
        });
        let passed: Vec<TokenStream> = passed.collect();
        let written = method.arguments.iter().filter_map(write_argument);
        let items = match method.stream_argument() {
            Some((stream, items)) => {
                let question = stream_question(items, None);
                quote!(#question.outgoing(#stream))
            }
            None => quote!(::core::option::Option::None),
        };
        let question = answer_question(&method.answer);
        let routed = method.key().and_then(write_argument).map(|written| {
            quote! {
                .routed_by(&|__arguments: &mut ::anylith::__rt::ArgumentWriter<'_>| {
                    #written
                    ::core::result::Result::Ok(())
                })
            }
        });
        quote! {
            async fn #method_name(&self, #(#arguments),*) -> #output {
                #[allow(unused_imports)]
                use ::anylith::__rt::Unchecked as _;
                match self.edge.begin(#index) {
                    ::anylith::__rt::Call::Local(__call) => {
                        let __object = __call.object();
                        #question.local(__call, __object.#object_method(#(#passed),*)).await
                    }
                    ::anylith::__rt::Call::Arrived(__call) => {
                        let __call = __call.call();
                        let __object = __call.object();
                        #question.local(__call, __object.#object_method(#(#passed),*)).await
                    }
                    ::anylith::__rt::Call::Remote(__call) => {
                        #question
                            .remote(
                                __call #routed,
                                &|__arguments: &mut ::anylith::__rt::ArgumentWriter<'_>| {
                                    #(#written)*
                                    ::core::result::Result::Ok(())
                                },
                                #items,
                            )
                            .await
                    }
                }
            }
        }
    });
    quote! {
        #boxing
        #[allow(deprecated, refining_impl_trait, clippy::needless_arbitrary_self_type)]
        impl #name for #client {
            #(#methods)*
        }
    }
}

/// Adds an argument to the message of a call; nothing for a stream, whose items follow on their own.
fn write_argument(argument: &Argument) -> Option<TokenStream> {
    let name = &argument.name;
    let text = name.unraw().to_string();
    Some(match &argument.kind {
        ArgumentKind::Owned(owned) => {
            let question = argument_question(owned, owned);
            quote!(#question.write(__arguments, #text, &#name)?;)
        }
        ArgumentKind::Reference { target, owned } => {
            let question = argument_question(target, owned);
            quote!(#question.write(__arguments, #text, #name)?;)
        }
        ArgumentKind::Str => quote!(__arguments.text(#text, #name)?;),
        ArgumentKind::Bytes => quote!(__arguments.bytes(#text, #name)?;),
        ArgumentKind::Stream(_) => return None,
    })
}

/// Asks whether an argument can travel: see `checked` in the runtime.
fn argument_question(passed: &Type, owned: &Type) -> TokenStream {
    quote!(::anylith::__rt::ArgumentOf::<#passed, #owned>::new().checked())
}

/// Asks whether what a method returns can travel.
fn answer_question(answer: &Answer) -> TokenStream {
    match answer {
        Answer::Value(result) => quote!(::anylith::__rt::AnswerOf::<#result>::new().checked()),
        Answer::Stream { items, error } => stream_question(items, Some(error)),
    }
}

/// Asks whether a stream can travel; with the error that can come in its place where it is an answer.
fn stream_question(items: &Items, error: Option<&Type>) -> TokenStream {
    let result = &items.result;
    let error = match error {
        Some(error) => quote!(#error),
        None => quote!(::anylith::CallError),
    };
    quote!(::anylith::__rt::StreamOf::<#result, #error>::new().checked())
}

/// The one place where the compiler says that a type cannot travel, at that type.
fn assertions(interface: &Interface) -> TokenStream {
    let mut assertions = Vec::new();
    let answer = |result: &Type| quote_spanned!(result.span()=> ::anylith::__rt::assert_answer::<#result>(););
    let argument = |written: &Type, owned: &Type| quote_spanned!(written.span()=> ::anylith::__rt::assert_argument::<#owned>(););
    for method in &interface.methods {
        assertions.extend(method.arguments.iter().filter_map(|it| match &it.kind {
            ArgumentKind::Owned(owned) => Some(argument(owned, owned)),
            ArgumentKind::Reference { target, owned } => Some(argument(target, owned)),
            ArgumentKind::Stream(items) => Some(answer(&items.result)),
            ArgumentKind::Str | ArgumentKind::Bytes => None,
        }));
        match &method.answer {
            Answer::Value(value) => assertions.push(answer(value)),
            Answer::Stream { items, error } => {
                assertions.push(answer(&items.result));
                assertions.push(quote_spanned! {error.span()=>
                    ::anylith::__rt::assert_answer::<::core::result::Result<(), #error>>();
                });
            }
        }
    }
    quote! {
        const _: () = {
            #[allow(dead_code, deprecated)]
            fn every_type_travels() {
                #(#assertions)*
            }
        };
    }
}

/// The interface as the runtime sees it.
fn client_is_interface(interface: &Interface) -> TokenStream {
    let name = &interface.name;
    let (client, object, text) = (
        client_name(name),
        object_name(name),
        name.unraw().to_string(),
    );
    let summary = summary(&interface.attributes);
    let methods = interface.methods.iter().map(|method| {
        let (name, idempotent) = (method.name.unraw().to_string(), method.idempotent);
        let routed = match &method.routed {
            Some(key) => {
                let key = key.unraw().to_string();
                quote!(::core::option::Option::Some(#key))
            }
            None => quote!(::core::option::Option::None),
        };
        let shape = match (method.stream_argument(), &method.answer) {
            (None, Answer::Value(_)) => quote!(Unary),
            (None, Answer::Stream { .. }) => quote!(ServerStreaming),
            (Some(_), Answer::Value(_)) => quote!(ClientStreaming),
            (Some(_), Answer::Stream { .. }) => quote!(Bidirectional),
        };
        quote! {
            ::anylith::__rt::Method {
                name: #name,
                idempotent: #idempotent,
                shape: ::anylith::__rt::MethodShape::#shape,
                routed: #routed,
            }
        }
    });
    let prints = interface.methods.iter().map(fingerprint);
    let dynamic = interface.boxing.is_some().then(|| {
        quote! {
            #[allow(deprecated)]
            impl ::anylith::__rt::DynInterface for dyn #name {
                type Client = #client;
            }
        }
    });
    quote! {
        #dynamic

        #[allow(deprecated)]
        const _: () = {
            #[allow(unused_mut)]
            fn __print(mut __print: ::anylith::__rt::InterfacePrint) -> ::anylith::__rt::InterfacePrint {
                #[allow(unused_imports)]
                use ::anylith::__rt::Unchecked as _;
                #(#prints)*
                __print
            }

        impl ::anylith::__rt::Interface for #client {
            const NAME: &'static str = #text;
            const SUMMARY: &'static str = #summary;
            const METHODS: &'static [::anylith::__rt::Method] = &[#(#methods),*];
            type Object = dyn #object;

            fn fingerprint() -> ::anylith::__rt::Fingerprint {
                static PRINT: ::std::sync::OnceLock<::anylith::__rt::Fingerprint> =
                    ::std::sync::OnceLock::new();
                *PRINT.get_or_init(|| __print(::anylith::__rt::InterfacePrint::new()).finish())
            }

            fn misfits() -> ::std::vec::Vec<::anylith::__rt::MisfitManifest> {
                __print(::anylith::__rt::InterfacePrint::search(#text)).misfits()
            }

            fn from_edge(edge: ::anylith::__rt::ClientEdge<Self::Object>) -> Self {
                Self { edge }
            }
        }
        };
    }
}

fn fingerprint(method: &Method) -> TokenStream {
    let name = method.name.unraw().to_string();
    let text: Type = parse_quote!(::std::string::String);
    let bytes: Type = parse_quote!(::std::vec::Vec<u8>);
    let arguments = method.arguments.iter().map(|argument| {
        let name = argument.name.unraw().to_string();
        let question = match &argument.kind {
            ArgumentKind::Owned(owned) => argument_question(owned, owned),
            ArgumentKind::Reference { target, owned } => argument_question(target, owned),
            ArgumentKind::Str => argument_question(&text, &text),
            ArgumentKind::Bytes => argument_question(&bytes, &bytes),
            ArgumentKind::Stream(items) => {
                let question = stream_question(items, None);
                return quote!(__print = #question.print_argument(__print, #name););
            }
        };
        quote!(__print = #question.print(__print, #name);)
    });
    let answer = answer_question(&method.answer);
    quote! {
        __print = __print.method(#name);
        #(#arguments)*
        __print = #answer.print(__print);
    }
}

/// What reads a request, asks the implementation, and writes its answer.
fn served_by_implementation(interface: &Interface) -> TokenStream {
    let name = &interface.name;
    let (client, object) = (client_name(name), object_name(name));
    let arms = interface.methods.iter().enumerate().map(|(index, method)| {
        let index = index as u16;
        let method_name = &method.name;
        let read = method.arguments.iter().map(read_argument);
        let passed = method.arguments.iter().map(|argument| {
            let name = &argument.name;
            match &argument.kind {
                ArgumentKind::Reference { .. } => quote!(&#name),
                _ => quote!(#name),
            }
        });
        let answer = answer_question(&method.answer);
        quote! {
            #index => __call.run(move |__message, __items, __buffer| async move {
                let mut __arguments = ::anylith::__rt::ArgumentReader::new(&__message);
                #(#read)*
                __arguments.end()?;
                #answer.encode(#name::#method_name(&*__implementation, #(#passed),*).await, __buffer)
            }),
        }
    });
    quote! {
        #[allow(deprecated)]
        impl<__C: #name> ::anylith::__rt::ImplementedBy<__C> for #client {
            fn object(implementation: ::std::sync::Arc<__C>) -> ::std::sync::Arc<dyn #object> {
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
                    #(#arms)*
                    _ => __call.unknown_method(),
                }
            }
        }
    }
}

fn read_argument(argument: &Argument) -> TokenStream {
    let name = &argument.name;
    let text = name.unraw().to_string();
    match &argument.kind {
        ArgumentKind::Owned(owned) => {
            let question = argument_question(owned, owned);
            quote!(let #name = #question.read(&mut __arguments, #text)?;)
        }
        ArgumentKind::Reference { target, owned } => {
            let question = argument_question(target, owned);
            quote!(let #name = #question.read(&mut __arguments, #text)?;)
        }
        ArgumentKind::Str => quote!(let #name = __arguments.text(#text)?;),
        ArgumentKind::Bytes => quote!(let #name = __arguments.bytes(#text)?;),
        ArgumentKind::Stream(items) => {
            let question = stream_question(items, None);
            quote!(let #name = #question.incoming(__items)?;)
        }
    }
}

/// The first paragraph of a documentation comment, on one line.
pub(crate) fn summary(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value().trim().to_owned()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    let paragraph: Vec<String> = lines
        .skip_while(String::is_empty)
        .take_while(|line| !line.is_empty())
        .collect();
    paragraph.join(" ")
}

/// The client's path of an interface's path: `shop::Cart` → `shop::CartClient`.
pub(crate) fn client_path(interface: &syn::Path) -> syn::Path {
    let mut path = interface.clone();
    if let Some(last) = path.segments.last_mut() {
        last.ident = Ident::new(&client_name(&last.ident).to_string(), last.ident.span());
    }
    path
}
