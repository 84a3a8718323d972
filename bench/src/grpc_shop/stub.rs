//! The shop's interfaces, implemented by asking another process over gRPC.

use boutique::{
    ad::{Ad, AdClient, AdError, Advertisement},
    cart::{Cart, CartClient, CartError, CartItem},
    catalog::{Catalog, CatalogClient, CatalogError, Product},
    checkout::{Checkout, CheckoutClient, CheckoutError},
    currency::{Currency, CurrencyClient, CurrencyError},
    email::{Email, EmailClient, EmailError},
    money::Money,
    order::{Address, Order},
    payment::{CreditCard, Payment, PaymentClient, PaymentError},
    recommendation::{Recommendation, RecommendationClient, RecommendationError},
    shipping::{Shipping, ShippingClient, ShippingError},
};
use tonic::transport::Channel;

use super::{
    convert::{each, failed, present, try_each},
    endpoint,
    proto::{self, Empty},
};
use crate::contestant::tonic::{Frames, lazy_channel};

/// A component whose methods ask the process of the real one.
macro_rules! stub {
    ($stub:ident, $parts:ident, $interface:ident, $module:ident :: $client:ident) => {
        #[doc = concat!("`", stringify!($interface), "`, in another process, over gRPC.")]
        #[derive(anylith::Component)]
        #[component(interface = $interface, start)]
        pub(super) struct $stub {
            #[init]
            remote: proto::$module::$client<Channel>,
        }

        impl $stub {
            async fn start(_: $parts) -> Result<Self, anyhow::Error> {
                let channel = lazy_channel(&endpoint(stringify!($interface))?, Frames::Default)?;
                Ok(Self {
                    remote: proto::$module::$client::new(channel),
                })
            }
        }
    };
}

stub!(AdStub, AdStubParts, Ad, ad_service_client::AdServiceClient);
stub!(
    CartStub,
    CartStubParts,
    Cart,
    cart_service_client::CartServiceClient
);
stub!(
    CatalogStub,
    CatalogStubParts,
    Catalog,
    product_catalog_service_client::ProductCatalogServiceClient
);
stub!(
    CheckoutStub,
    CheckoutStubParts,
    Checkout,
    checkout_service_client::CheckoutServiceClient
);
stub!(
    CurrencyStub,
    CurrencyStubParts,
    Currency,
    currency_service_client::CurrencyServiceClient
);
stub!(
    EmailStub,
    EmailStubParts,
    Email,
    email_service_client::EmailServiceClient
);
stub!(
    PaymentStub,
    PaymentStubParts,
    Payment,
    payment_service_client::PaymentServiceClient
);
stub!(
    RecommendationStub,
    RecommendationStubParts,
    Recommendation,
    recommendation_service_client::RecommendationServiceClient
);
stub!(
    ShippingStub,
    ShippingStubParts,
    Shipping,
    shipping_service_client::ShippingServiceClient
);

impl Ad for AdStub {
    async fn get(&self, context_keys: &[String]) -> Result<Vec<Advertisement>, AdError> {
        let request = proto::AdRequest {
            context_keys: context_keys.to_vec(),
        };
        let answer = self.remote.clone().get_ads(request).await;
        Ok(each(
            answer
                .map_err(|status| failed::<AdError>("Ad", &status))?
                .into_inner()
                .ads,
        ))
    }
}

impl Cart for CartStub {
    async fn add(&self, user_id: &str, item: &CartItem) -> Result<(), CartError> {
        let item = Some(item.clone().into());
        let request = proto::AddItemRequest {
            user_id: user_id.to_owned(),
            item,
        };
        let answer = self.remote.clone().add_item(request).await;
        answer.map(drop).map_err(|status| failed("Cart", &status))
    }

    async fn get(&self, user_id: &str) -> Result<Vec<CartItem>, CartError> {
        let request = proto::GetCartRequest {
            user_id: user_id.to_owned(),
        };
        let answer = self.remote.clone().get_cart(request).await;
        Ok(each(
            answer
                .map_err(|status| failed::<CartError>("Cart", &status))?
                .into_inner()
                .items,
        ))
    }

    async fn empty(&self, user_id: &str) -> Result<(), CartError> {
        let request = proto::EmptyCartRequest {
            user_id: user_id.to_owned(),
        };
        let answer = self.remote.clone().empty_cart(request).await;
        answer.map(drop).map_err(|status| failed("Cart", &status))
    }
}

impl Catalog for CatalogStub {
    async fn list(&self) -> Result<Vec<Product>, CatalogError> {
        let fail = |status| failed::<CatalogError>("Catalog", &status);
        let answer = self
            .remote
            .clone()
            .list_products(Empty {})
            .await
            .map_err(fail)?;
        try_each(answer.into_inner().products).map_err(fail)
    }

    async fn get(&self, id: &str) -> Result<Product, CatalogError> {
        let fail = |status| failed::<CatalogError>("Catalog", &status);
        let request = proto::GetProductRequest { id: id.to_owned() };
        let answer = self
            .remote
            .clone()
            .get_product(request)
            .await
            .map_err(fail)?;
        answer.into_inner().try_into().map_err(fail)
    }

    async fn search(&self, query: &str) -> Result<Vec<Product>, CatalogError> {
        let fail = |status| failed::<CatalogError>("Catalog", &status);
        let request = proto::SearchProductsRequest {
            query: query.to_owned(),
        };
        let answer = self
            .remote
            .clone()
            .search_products(request)
            .await
            .map_err(fail)?;
        try_each(answer.into_inner().results).map_err(fail)
    }
}

impl Checkout for CheckoutStub {
    async fn place_order(
        &self,
        user_id: &str,
        user_currency: &str,
        address: &Address,
        email: &str,
        card: &CreditCard,
    ) -> Result<Order, CheckoutError> {
        let fail = |status| failed::<CheckoutError>("Checkout", &status);
        let request = proto::PlaceOrderRequest {
            user_id: user_id.to_owned(),
            user_currency: user_currency.to_owned(),
            address: Some(address.clone().into()),
            email: email.to_owned(),
            credit_card: Some(card.clone().into()),
        };
        let answer = self
            .remote
            .clone()
            .place_order(request)
            .await
            .map_err(fail)?;
        let order = present(answer.into_inner().order, "order").map_err(fail)?;
        order.try_into().map_err(fail)
    }
}

impl Currency for CurrencyStub {
    async fn supported(&self) -> Result<Vec<String>, CurrencyError> {
        let answer = self.remote.clone().get_supported_currencies(Empty {}).await;
        let answer = answer.map_err(|status| failed::<CurrencyError>("Currency", &status))?;
        Ok(answer.into_inner().currency_codes)
    }

    async fn convert(&self, from: &Money, to: &str) -> Result<Money, CurrencyError> {
        let from = Some(from.clone().into());
        let request = proto::CurrencyConversionRequest {
            from,
            to_code: to.to_owned(),
        };
        let answer = self.remote.clone().convert(request).await;
        let answer = answer.map_err(|status| failed::<CurrencyError>("Currency", &status))?;
        Ok(answer.into_inner().into())
    }
}

impl Email for EmailStub {
    async fn send_order_confirmation(&self, email: &str, order: &Order) -> Result<(), EmailError> {
        let order = Some(order.clone().into());
        let request = proto::SendOrderConfirmationRequest {
            email: email.to_owned(),
            order,
        };
        let answer = self.remote.clone().send_order_confirmation(request).await;
        answer.map(drop).map_err(|status| failed("Email", &status))
    }
}

impl Payment for PaymentStub {
    async fn charge(&self, amount: &Money, card: &CreditCard) -> Result<String, PaymentError> {
        let request = proto::ChargeRequest {
            amount: Some(amount.clone().into()),
            credit_card: Some(card.clone().into()),
        };
        let answer = self.remote.clone().charge(request).await;
        let answer = answer.map_err(|status| failed::<PaymentError>("Payment", &status))?;
        Ok(answer.into_inner().transaction_id)
    }
}

impl Recommendation for RecommendationStub {
    async fn list(
        &self,
        user_id: &str,
        product_ids: &[String],
    ) -> Result<Vec<String>, RecommendationError> {
        let request = proto::ListRecommendationsRequest {
            user_id: user_id.to_owned(),
            product_ids: product_ids.to_vec(),
        };
        let answer = self.remote.clone().list_recommendations(request).await;
        let answer =
            answer.map_err(|status| failed::<RecommendationError>("Recommendation", &status))?;
        Ok(answer.into_inner().product_ids)
    }
}

impl Shipping for ShippingStub {
    async fn quote(
        &self,
        address: Option<Address>,
        items: &[CartItem],
    ) -> Result<Money, ShippingError> {
        let fail = |status| failed::<ShippingError>("Shipping", &status);
        let request = proto::GetQuoteRequest {
            address: address.map(Into::into),
            items: each(items.to_vec()),
        };
        let answer = self.remote.clone().get_quote(request).await.map_err(fail)?;
        Ok(present(answer.into_inner().cost_usd, "cost_usd")
            .map_err(fail)?
            .into())
    }

    async fn ship(&self, address: &Address, items: &[CartItem]) -> Result<String, ShippingError> {
        let request = proto::ShipOrderRequest {
            address: Some(address.clone().into()),
            items: each(items.to_vec()),
        };
        let answer = self.remote.clone().ship_order(request).await;
        let answer = answer.map_err(|status| failed::<ShippingError>("Shipping", &status))?;
        Ok(answer.into_inner().tracking_id)
    }
}
