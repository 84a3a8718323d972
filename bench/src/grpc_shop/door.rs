//! Serves the shop's components over gRPC.

use std::sync::Arc;

use anyhow::Result;
use anylith::Stopping;
use anylith_core::Endpoint;
use boutique::{
    ad::{Ad, AdClient},
    cart::{Cart, CartClient},
    catalog::{Catalog, CatalogClient},
    checkout::{Checkout, CheckoutClient},
    currency::{Currency, CurrencyClient},
    email::{Email, EmailClient},
    payment::{Payment, PaymentClient},
    recommendation::{Recommendation, RecommendationClient},
    shipping::{Shipping, ShippingClient},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::{each, present, status},
    endpoint,
    proto::{self, Empty},
};
use crate::contestant::tonic::{Frames, server};

/// A component that serves another one until it is told to stop.
macro_rules! door {
    ($door:ident, $component:literal, $client:ty, $module:ident :: $server:ident) => {
        #[doc = concat!("Serves `", $component, "` over gRPC.")]
        #[derive(anylith::Component)]
        #[component(serve)]
        pub(super) struct $door {
            behind: $client,
        }

        impl $door {
            async fn serve(self: Arc<Self>, stopping: Stopping) -> Result<(), anyhow::Error> {
                let Endpoint::Unix(path) = endpoint($component)? else {
                    anyhow::bail!("a door is a Unix socket");
                };
                let incoming = UnixListenerStream::new(UnixListener::bind(path)?);
                let service = proto::$module::$server::from_arc(self);
                let router = server(Frames::Default).add_service(service);
                Ok(router
                    .serve_with_incoming_shutdown(incoming, stopping)
                    .await?)
            }
        }
    };
}

door!(AdDoor, "Ad", AdClient, ad_service_server::AdServiceServer);
door!(
    CartDoor,
    "Cart",
    CartClient,
    cart_service_server::CartServiceServer
);
door!(
    CatalogDoor,
    "Catalog",
    CatalogClient,
    product_catalog_service_server::ProductCatalogServiceServer
);
door!(
    CheckoutDoor,
    "Checkout",
    CheckoutClient,
    checkout_service_server::CheckoutServiceServer
);
door!(
    CurrencyDoor,
    "Currency",
    CurrencyClient,
    currency_service_server::CurrencyServiceServer
);
door!(
    EmailDoor,
    "Email",
    EmailClient,
    email_service_server::EmailServiceServer
);
door!(
    PaymentDoor,
    "Payment",
    PaymentClient,
    payment_service_server::PaymentServiceServer
);
door!(
    RecommendationDoor,
    "Recommendation",
    RecommendationClient,
    recommendation_service_server::RecommendationServiceServer
);
door!(
    ShippingDoor,
    "Shipping",
    ShippingClient,
    shipping_service_server::ShippingServiceServer
);

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[async_trait]
impl proto::ad_service_server::AdService for AdDoor {
    async fn get_ads(&self, request: Request<proto::AdRequest>) -> Answer<proto::AdResponse> {
        let ads = self
            .behind
            .get(&request.get_ref().context_keys)
            .await
            .map_err(status)?;
        answer(proto::AdResponse { ads: each(ads) })
    }
}

#[async_trait]
impl proto::cart_service_server::CartService for CartDoor {
    async fn add_item(&self, request: Request<proto::AddItemRequest>) -> Answer<Empty> {
        let proto::AddItemRequest { user_id, item } = request.into_inner();
        let item = present(item, "item")?.into();
        self.behind.add(&user_id, &item).await.map_err(status)?;
        answer(Empty {})
    }

    async fn get_cart(&self, request: Request<proto::GetCartRequest>) -> Answer<proto::Cart> {
        let user_id = request.into_inner().user_id;
        let items = self.behind.get(&user_id).await.map_err(status)?;
        answer(proto::Cart {
            user_id,
            items: each(items),
        })
    }

    async fn empty_cart(&self, request: Request<proto::EmptyCartRequest>) -> Answer<Empty> {
        self.behind
            .empty(&request.get_ref().user_id)
            .await
            .map_err(status)?;
        answer(Empty {})
    }
}

#[async_trait]
impl proto::product_catalog_service_server::ProductCatalogService for CatalogDoor {
    async fn list_products(&self, _: Request<Empty>) -> Answer<proto::ListProductsResponse> {
        let products = self.behind.list().await.map_err(status)?;
        answer(proto::ListProductsResponse {
            products: each(products),
        })
    }

    async fn get_product(
        &self,
        request: Request<proto::GetProductRequest>,
    ) -> Answer<proto::Product> {
        let product = self
            .behind
            .get(&request.get_ref().id)
            .await
            .map_err(status)?;
        answer(product.into())
    }

    async fn search_products(
        &self,
        request: Request<proto::SearchProductsRequest>,
    ) -> Answer<proto::SearchProductsResponse> {
        let results = self
            .behind
            .search(&request.get_ref().query)
            .await
            .map_err(status)?;
        answer(proto::SearchProductsResponse {
            results: each(results),
        })
    }
}

#[async_trait]
impl proto::checkout_service_server::CheckoutService for CheckoutDoor {
    async fn place_order(
        &self,
        request: Request<proto::PlaceOrderRequest>,
    ) -> Answer<proto::PlaceOrderResponse> {
        let request = request.into_inner();
        let address = present(request.address, "address")?.into();
        let card = present(request.credit_card, "credit_card")?.into();
        let (user, currency) = (&request.user_id, &request.user_currency);
        let placed = self
            .behind
            .place_order(user, currency, &address, &request.email, &card);
        let order = placed.await.map_err(status)?;
        answer(proto::PlaceOrderResponse {
            order: Some(order.into()),
        })
    }
}

#[async_trait]
impl proto::currency_service_server::CurrencyService for CurrencyDoor {
    async fn get_supported_currencies(
        &self,
        _: Request<Empty>,
    ) -> Answer<proto::GetSupportedCurrenciesResponse> {
        let currency_codes = self.behind.supported().await.map_err(status)?;
        answer(proto::GetSupportedCurrenciesResponse { currency_codes })
    }

    async fn convert(
        &self,
        request: Request<proto::CurrencyConversionRequest>,
    ) -> Answer<proto::Money> {
        let proto::CurrencyConversionRequest { from, to_code } = request.into_inner();
        let from = present(from, "from")?.into();
        let money = self.behind.convert(&from, &to_code).await.map_err(status)?;
        answer(money.into())
    }
}

#[async_trait]
impl proto::email_service_server::EmailService for EmailDoor {
    async fn send_order_confirmation(
        &self,
        request: Request<proto::SendOrderConfirmationRequest>,
    ) -> Answer<Empty> {
        let proto::SendOrderConfirmationRequest { email, order } = request.into_inner();
        let order = present(order, "order")?.try_into()?;
        self.behind
            .send_order_confirmation(&email, &order)
            .await
            .map_err(status)?;
        answer(Empty {})
    }
}

#[async_trait]
impl proto::payment_service_server::PaymentService for PaymentDoor {
    async fn charge(
        &self,
        request: Request<proto::ChargeRequest>,
    ) -> Answer<proto::ChargeResponse> {
        let proto::ChargeRequest {
            amount,
            credit_card,
        } = request.into_inner();
        let amount = present(amount, "amount")?.into();
        let card = present(credit_card, "credit_card")?.into();
        let transaction_id = self.behind.charge(&amount, &card).await.map_err(status)?;
        answer(proto::ChargeResponse { transaction_id })
    }
}

#[async_trait]
impl proto::recommendation_service_server::RecommendationService for RecommendationDoor {
    async fn list_recommendations(
        &self,
        request: Request<proto::ListRecommendationsRequest>,
    ) -> Answer<proto::ListRecommendationsResponse> {
        let proto::ListRecommendationsRequest {
            user_id,
            product_ids,
        } = request.into_inner();
        let product_ids = self
            .behind
            .list(&user_id, &product_ids)
            .await
            .map_err(status)?;
        answer(proto::ListRecommendationsResponse { product_ids })
    }
}

#[async_trait]
impl proto::shipping_service_server::ShippingService for ShippingDoor {
    async fn get_quote(
        &self,
        request: Request<proto::GetQuoteRequest>,
    ) -> Answer<proto::GetQuoteResponse> {
        let proto::GetQuoteRequest { address, items } = request.into_inner();
        let items = each(items);
        let quote = self
            .behind
            .quote(address.map(Into::into), &items)
            .await
            .map_err(status)?;
        answer(proto::GetQuoteResponse {
            cost_usd: Some(quote.into()),
        })
    }

    async fn ship_order(
        &self,
        request: Request<proto::ShipOrderRequest>,
    ) -> Answer<proto::ShipOrderResponse> {
        let proto::ShipOrderRequest { address, items } = request.into_inner();
        let address = present(address, "address")?.into();
        let items = each(items);
        let tracking_id = self.behind.ship(&address, &items).await.map_err(status)?;
        answer(proto::ShipOrderResponse { tracking_id })
    }
}
