//! An online shop of ten components, to see Anylith at work.
//!
//! It follows Google's *Online Boutique* (microservices-demo, Apache-2.0); the README says where it
//! differs. Start at [`frontend`], which serves the pages and calls the others, or at [`checkout`], where a
//! single call goes through six of them.

pub mod ad;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod currency;
pub mod email;
pub mod frontend;
pub mod payment;
pub mod recommendation;
pub mod shipping;

// What several components speak of.
pub mod calendar;
pub mod money;
pub mod order;

use self::{
    ad::AdService, cart::CartService, catalog::CatalogService, checkout::CheckoutService,
    currency::CurrencyService, email::EmailService, frontend::Frontend, payment::PaymentService,
    recommendation::RecommendationService, shipping::ShippingService,
};

anylith::app! {
    /// The online shop.
    pub Boutique = "boutique" {
        Frontend,
        CatalogService,
        CurrencyService,
        CartService,
        RecommendationService,
        ShippingService,
        PaymentService,
        EmailService,
        AdService,
        CheckoutService,
    }
}
