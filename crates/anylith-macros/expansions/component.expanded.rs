// What the macro makes of `component.rs`.

///What the runtime makes of a [`CartService`]: each field that is not `#[init]`.
#[allow(dead_code, private_interfaces)]
pub struct CartServiceParts {
    ///The field `catalog`.
    pub catalog: CatalogClient,
    ///The field `config`.
    pub config: CartConfig,
}
#[automatically_derived]
impl ::anylith::__rt::Assembled for CartService {
    type Parts = CartServiceParts;
    #[allow(unused_variables)]
    fn parts(
        __wiring: &::anylith::__rt::Wiring,
    ) -> ::core::result::Result<CartServiceParts, ::anylith::StartError> {
        ::core::result::Result::Ok(CartServiceParts {
            catalog: __wiring.client::<CatalogClient>(),
            config: __wiring.config::<CartConfig>()?,
        })
    }
}
#[automatically_derived]
impl ::anylith::__rt::Component for CartService {
    type Interface = CartClient;
    type Dependencies = (CatalogClient, ());
    const NAME: &'static str = <CartClient as ::anylith::__rt::Interface>::NAME;
    const SUMMARY: &'static str = "Keeps carts in a database.";
    const LISTENERS: &'static [&'static str] = &[];
    fn check_config(
        config: &::anylith::__rt::Value,
    ) -> ::std::vec::Vec<::anylith::__rt::ConfigProblem> {
        ::anylith::__rt::config_problems::<CartConfig>(config)
    }
    const HAS_CONFIG: bool = true;
    async fn build(
        __wiring: &::anylith::__rt::Wiring,
    ) -> ::core::result::Result<Self, ::anylith::StartError> {
        let __parts = <Self as ::anylith::__rt::Assembled>::parts(__wiring)?;
        ::anylith::__rt::hook::start::<Self, _>(Self::start, __parts).await
    }
    const CHECKS_HEALTH: bool = true;
    async fn check_health(&self) -> ::core::result::Result<(), ::anylith::StartError> {
        ::anylith::__rt::hook::healthy::<Self, _>(Self::healthy, self).await
    }
    async fn shut_down(&self) {
        ::anylith::__rt::hook::stop::<Self, _>(Self::stop, self).await;
    }
}
