anylith::app! {
    /// The online shop.
    pub Shop = "shop" { CartService, Frontend }
}
