//! A whole shop in the test's process, and a browser that visits it without a network.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use boutique::{
    ad::{Ad, AdClient, AdService},
    calendar::YearMonth,
    cart::{Cart, CartClient, CartConfig, CartService, CartServiceParts},
    catalog::{Catalog, CatalogClient, CatalogConfig, CatalogService, CatalogServiceParts},
    checkout::{CheckoutClient, CheckoutService},
    currency::{Currency, CurrencyClient, CurrencyConfig, CurrencyService, CurrencyServiceParts},
    email::{Email, EmailClient, EmailService},
    frontend::{FrontendConfig, Storefront},
    payment::{PaymentClient, PaymentService},
    recommendation::{Recommendation, RecommendationClient, RecommendationService},
    shipping::{Shipping, ShippingClient, ShippingService},
};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::counted::{Counted, Counts};

pub(crate) const MUG: &str = "6E92ZMYYFZ";
pub(crate) const WATCH: &str = "1YMWWN1N4O";
pub(crate) const SUNGLASSES: &str = "OLJCESPC7Z";

/// The form of the cart's page as it is filled in beforehand.
pub(crate) const CHECKOUT_FORM: &[(&str, &str)] = &[
    ("email", "someone@example.com"),
    ("street_address", "1600 Amphitheatre Parkway"),
    ("zip_code", "94043"),
    ("city", "Mountain View"),
    ("state", "CA"),
    ("country", "United States"),
    ("credit_card_number", "4432801561520454"),
    ("credit_card_expiration_month", "1"),
    ("credit_card_expiration_year", "2030"),
    ("credit_card_cvv", "672"),
];

/// Builds a shop of which some components are not the real ones.
#[derive(Default)]
pub(crate) struct ShopBuilder {
    config: FrontendConfig,
    catalog: Option<CatalogClient>,
    currency: Option<CurrencyClient>,
    recommendation: Option<RecommendationClient>,
    shipping: Option<ShippingClient>,
    email: Option<EmailClient>,
    ad: Option<AdClient>,
}

impl ShopBuilder {
    pub(crate) fn config(mut self, config: FrontendConfig) -> Self {
        self.config = config;
        self
    }

    pub(crate) fn catalog(mut self, catalog: impl Catalog) -> Self {
        self.catalog = Some(CatalogClient::local(catalog));
        self
    }

    pub(crate) fn currency(mut self, currency: impl Currency) -> Self {
        self.currency = Some(CurrencyClient::local(currency));
        self
    }

    pub(crate) fn recommendation(mut self, recommendation: impl Recommendation) -> Self {
        self.recommendation = Some(RecommendationClient::local(recommendation));
        self
    }

    pub(crate) fn shipping(mut self, shipping: impl Shipping) -> Self {
        self.shipping = Some(ShippingClient::local(shipping));
        self
    }

    pub(crate) fn email(mut self, email: impl Email) -> Self {
        self.email = Some(EmailClient::local(email));
        self
    }

    pub(crate) fn ad(mut self, ad: impl Ad) -> Self {
        self.ad = Some(AdClient::local(ad));
        self
    }

    /// Wires the components, each edge with a count of its calls.
    pub(crate) async fn open(self) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let counts = Counts::default();
        let catalog = match self.catalog {
            Some(catalog) => catalog,
            None => CatalogClient::local(catalog().await),
        };
        let currency = match self.currency {
            Some(currency) => currency,
            None => CurrencyClient::local(currency().await),
        };
        let cart = CartClient::local(cart(&folder).await);
        let shipping = self
            .shipping
            .unwrap_or_else(|| ShippingClient::local(ShippingService {}));
        let email = self
            .email
            .unwrap_or_else(|| EmailClient::local(EmailService {}));
        let ad = self.ad.unwrap_or_else(|| AdClient::local(AdService {}));
        let payment = PaymentClient::local(PaymentService::with_calendar(|| YearMonth {
            year: 2026,
            month: 11,
        }));
        let edge = |caller, callee| (counts.clone(), caller, callee);
        let recommendation = self.recommendation.unwrap_or_else(|| {
            RecommendationClient::local(RecommendationService {
                catalog: CatalogClient::local(Counted::new(
                    catalog.clone(),
                    edge("Recommendation", "Catalog"),
                )),
            })
        });
        let from = "Checkout";
        let checkout = CheckoutService {
            cart: CartClient::local(Counted::new(cart.clone(), edge(from, "Cart"))),
            catalog: CatalogClient::local(Counted::new(catalog.clone(), edge(from, "Catalog"))),
            currency: CurrencyClient::local(Counted::new(currency.clone(), edge(from, "Currency"))),
            shipping: ShippingClient::local(Counted::new(shipping.clone(), edge(from, "Shipping"))),
            payment: PaymentClient::local(Counted::new(payment, edge(from, "Payment"))),
            email: EmailClient::local(Counted::new(email, edge(from, "Email"))),
        };
        let from = "Frontend";
        let storefront = Storefront {
            config: self.config,
            catalog: CatalogClient::local(Counted::new(catalog, edge(from, "Catalog"))),
            currency: CurrencyClient::local(Counted::new(currency, edge(from, "Currency"))),
            cart: CartClient::local(Counted::new(cart, edge(from, "Cart"))),
            recommendation: RecommendationClient::local(Counted::new(
                recommendation,
                edge(from, "Recommendation"),
            )),
            shipping: ShippingClient::local(Counted::new(shipping, edge(from, "Shipping"))),
            checkout: CheckoutClient::local(Counted::new(checkout, edge(from, "Checkout"))),
            ad: AdClient::local(Counted::new(ad, edge(from, "Ad"))),
        };
        Shop {
            router: storefront.router(),
            counts,
            folder: Arc::new(folder),
        }
    }
}

async fn catalog() -> impl Catalog {
    let config = CatalogConfig::default();
    CatalogService::start(CatalogServiceParts { config })
        .await
        .unwrap()
}

async fn currency() -> impl Currency {
    let config = CurrencyConfig::default();
    CurrencyService::start(CurrencyServiceParts { config })
        .await
        .unwrap()
}

async fn cart(folder: &TempDir) -> impl Cart {
    let database = format!("sqlite:{}", folder.path().join("carts.db").display());
    let config = CartConfig {
        database: database.parse().unwrap(),
    };
    CartService::start(CartServiceParts { config })
        .await
        .unwrap()
}

/// A shop that is open.
pub(crate) struct Shop {
    router: Router,
    pub(crate) counts: Counts,
    folder: Arc<TempDir>,
}

impl Shop {
    /// The shop as it is.
    pub(crate) async fn open() -> Self {
        ShopBuilder::default().open().await
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        let (router, folder) = (self.router.clone(), Arc::clone(&self.folder));
        Browser {
            router,
            cookies: Mutex::default(),
            _folder: folder,
        }
    }
}

/// Visits the shop, and keeps its cookies. It does not follow redirections.
pub(crate) struct Browser {
    router: Router,
    cookies: Mutex<BTreeMap<String, String>>,
    /// The shop's database, which stays open as long as somebody visits it.
    _folder: Arc<TempDir>,
}

impl Browser {
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.request(Method::GET, path, &[], "").await
    }

    /// Sends a form as browsers do.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let headers = [(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )];
        self.request(Method::POST, path, &headers, &body).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Page {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, "shop.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookies.lock().unwrap().clone();
        for (name, value) in cookies {
            request = request.header(header::COOKIE, format!("{name}={value}"));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let page = Page {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        };
        for cookie in page.set_cookies() {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.set_cookie(name, value);
        }
        page
    }

    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        self.cookies
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    /// Puts something into the cart.
    pub(crate) async fn add(&self, product: &str, quantity: &str) {
        let page = self
            .post("/cart", &[("product_id", product), ("quantity", quantity)])
            .await;
        assert_eq!(
            (page.status, page.location()),
            (StatusCode::FOUND, "/cart"),
            "{}",
            page.text
        );
    }
}

/// What the shop answered.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let cookies = self.headers.get_all(header::SET_COOKIE).iter();
        cookies.map(|value| value.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn has(&self, text: &str) -> &Self {
        assert!(
            self.text.contains(text),
            "`{text}` is missing in: {}",
            self.text
        );
        self
    }

    #[track_caller]
    pub(crate) fn lacks(&self, text: &str) -> &Self {
        assert!(!self.text.contains(text), "`{text}` is in: {}", self.text);
        self
    }

    /// What stands in the `<pre>` of an error page.
    pub(crate) fn message(&self) -> &str {
        let after = self
            .text
            .split("<pre>")
            .nth(1)
            .expect("an error page has a <pre>");
        after.split("</pre>").next().unwrap()
    }

    /// The products that the page links to, each once, in its order.
    pub(crate) fn products(&self) -> Vec<&str> {
        let mut products: Vec<&str> = Vec::new();
        for link in self.text.split("\"/product/").skip(1) {
            let id = link.split('"').next().unwrap();
            if !products.contains(&id) {
                products.push(id);
            }
        }
        products
    }
}

/// Shares one fake between the shop and the test.
pub(crate) type Shared<T> = Arc<Mutex<T>>;
