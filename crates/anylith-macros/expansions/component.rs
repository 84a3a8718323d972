/// Keeps carts in a database.
#[derive(anylith::Component)]
#[component(interface = Cart, start, healthy, stop)]
pub struct CartService {
    catalog: CatalogClient,
    #[config]
    config: CartConfig,
    #[init]
    pool: Pool,
}
