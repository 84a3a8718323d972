// What the macro makes of `component.rs`.

///What the runtime hands to `CartService::start`: each field that is not `#[init]`.
#[allow(dead_code)]
pub struct CartServiceParts {
    ///The field `catalog`.
    catalog: CatalogClient,
    ///The field `config`.
    config: CartConfig,
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
    ) -> ::core::result::Result<(), ::anylith::__rt::ConfigProblem> {
        ::anylith::__rt::read_config::<CartConfig>(config).map(|_| ())
    }
    const HAS_CONFIG: bool = true;
    async fn build(
        __wiring: &::anylith::__rt::Wiring,
    ) -> ::core::result::Result<Self, ::anylith::StartError> {
        let __parts = CartServiceParts {
            catalog: __wiring.client::<CatalogClient>(),
            config: __wiring.config::<CartConfig>()?,
        };
        Self::start(__parts).await.map_err(::anylith::StartError::from_cause)
    }
    async fn shut_down(&self) {
        self.stop().await;
    }
}
