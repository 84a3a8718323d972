//! Between the shop's types and their protobuf messages.
//!
//! A message that should hold another may come without it; that is the caller's mistake, and said so.

use anylith::CallError;
use anylith_core::{Edge, LostAnswer, Name};
use boutique::{
    ad::Advertisement,
    cart::CartItem,
    catalog::Product,
    money::Money,
    order::{Address, Order, OrderItem},
    payment::CreditCard,
};
use serde::{Serialize, de::DeserializeOwned};
use tonic::{Code, Status};

use super::proto;

/// The message, which has to be there.
pub(super) fn present<T>(message: Option<T>, name: &str) -> Result<T, Status> {
    message.ok_or_else(|| Status::invalid_argument(format!("`{name}` is missing")))
}

/// A component's error as a status: the text for people, the value for the other end.
pub(super) fn status<E: Serialize + std::fmt::Display>(error: E) -> Status {
    let details = serde_json::to_vec(&error).unwrap_or_default();
    Status::with_details(Code::Internal, error.to_string(), details.into())
}

/// A status as the component's error that it was made of, or else as a failed call.
pub(super) fn failed<E: DeserializeOwned + From<CallError>>(component: &str, status: &Status) -> E {
    serde_json::from_slice(status.details()).unwrap_or_else(|_| {
        let name = |text: &str| Name::new(text).expect("it is a name in the source");
        let edge = Edge::new(name("grpc"), name(component), name("call"));
        CallError::Unknown {
            edge,
            reason: LostAnswer::Disconnected(status.to_string()),
        }
        .into()
    })
}

impl From<Money> for proto::Money {
    fn from(
        Money {
            currency_code,
            units,
            nanos,
        }: Money,
    ) -> Self {
        Self {
            currency_code,
            units,
            nanos,
        }
    }
}

impl From<proto::Money> for Money {
    fn from(
        proto::Money {
            currency_code,
            units,
            nanos,
        }: proto::Money,
    ) -> Self {
        Self {
            currency_code,
            units,
            nanos,
        }
    }
}

impl From<CartItem> for proto::CartItem {
    fn from(
        CartItem {
            product_id,
            quantity,
        }: CartItem,
    ) -> Self {
        Self {
            product_id,
            quantity,
        }
    }
}

impl From<proto::CartItem> for CartItem {
    fn from(
        proto::CartItem {
            product_id,
            quantity,
        }: proto::CartItem,
    ) -> Self {
        Self {
            product_id,
            quantity,
        }
    }
}

impl From<Product> for proto::Product {
    fn from(product: Product) -> Self {
        let Product {
            id,
            name,
            description,
            picture,
            price_usd,
            categories,
        } = product;
        Self {
            id,
            name,
            description,
            picture,
            price_usd: Some(price_usd.into()),
            categories,
        }
    }
}

impl TryFrom<proto::Product> for Product {
    type Error = Status;

    fn try_from(product: proto::Product) -> Result<Self, Status> {
        let proto::Product {
            id,
            name,
            description,
            picture,
            price_usd,
            categories,
        } = product;
        let price_usd = present(price_usd, "price_usd")?.into();
        Ok(Self {
            id,
            name,
            description,
            picture,
            price_usd,
            categories,
        })
    }
}

impl From<Address> for proto::Address {
    fn from(
        Address {
            street_address,
            city,
            state,
            country,
            zip_code,
        }: Address,
    ) -> Self {
        Self {
            street_address,
            city,
            state,
            country,
            zip_code,
        }
    }
}

impl From<proto::Address> for Address {
    fn from(address: proto::Address) -> Self {
        let proto::Address {
            street_address,
            city,
            state,
            country,
            zip_code,
        } = address;
        Self {
            street_address,
            city,
            state,
            country,
            zip_code,
        }
    }
}

impl From<CreditCard> for proto::CreditCardInfo {
    fn from(card: CreditCard) -> Self {
        Self {
            credit_card_number: card.number,
            credit_card_cvv: card.cvv,
            credit_card_expiration_year: card.expiration_year,
            credit_card_expiration_month: card.expiration_month,
        }
    }
}

impl From<proto::CreditCardInfo> for CreditCard {
    fn from(card: proto::CreditCardInfo) -> Self {
        Self {
            number: card.credit_card_number,
            cvv: card.credit_card_cvv,
            expiration_year: card.credit_card_expiration_year,
            expiration_month: card.credit_card_expiration_month,
        }
    }
}

impl From<Order> for proto::OrderResult {
    fn from(order: Order) -> Self {
        let items = order
            .items
            .into_iter()
            .map(|OrderItem { item, cost }| proto::OrderItem {
                item: Some(item.into()),
                cost: Some(cost.into()),
            });
        Self {
            order_id: order.order_id,
            shipping_tracking_id: order.shipping_tracking_id,
            shipping_cost: Some(order.shipping_cost.into()),
            shipping_address: Some(order.shipping_address.into()),
            items: items.collect(),
        }
    }
}

impl TryFrom<proto::OrderResult> for Order {
    type Error = Status;

    fn try_from(order: proto::OrderResult) -> Result<Self, Status> {
        let items = order
            .items
            .into_iter()
            .map(|proto::OrderItem { item, cost }| {
                let item = present(item, "item")?.into();
                Ok(OrderItem {
                    item,
                    cost: present(cost, "cost")?.into(),
                })
            });
        Ok(Self {
            order_id: order.order_id,
            shipping_tracking_id: order.shipping_tracking_id,
            shipping_cost: present(order.shipping_cost, "shipping_cost")?.into(),
            shipping_address: present(order.shipping_address, "shipping_address")?.into(),
            items: items.collect::<Result<_, Status>>()?,
        })
    }
}

impl From<Advertisement> for proto::Ad {
    fn from(Advertisement { redirect_url, text }: Advertisement) -> Self {
        Self { redirect_url, text }
    }
}

impl From<proto::Ad> for Advertisement {
    fn from(proto::Ad { redirect_url, text }: proto::Ad) -> Self {
        Self { redirect_url, text }
    }
}

/// Converts each of a list.
pub(super) fn each<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
    list.into_iter().map(Into::into).collect()
}

/// Converts each of a list that may lack something.
pub(super) fn try_each<T, U: TryFrom<T, Error = Status>>(list: Vec<T>) -> Result<Vec<U>, Status> {
    list.into_iter().map(TryInto::try_into).collect()
}
