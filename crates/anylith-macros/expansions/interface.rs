/// Keeps one shopping cart per customer.
#[anylith::component]
pub trait Cart {
    /// How many units are in the cart of `user`.
    #[idempotent]
    async fn count(&self, user: &str) -> Result<u32, CartError>;

    /// Adds `line`.
    #[routed(by = user)]
    async fn add(&self, user: &UserId, line: Line) -> Result<(), CartError>;

    /// Tells of every change from now on.
    async fn watch(
        &self,
        user: UserId,
    ) -> Result<impl Stream<Item = Result<Line, CartError>>, CartError>;
}
