//! A visit to every corner of the shop, the same each time.

use std::fmt::Write as _;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, header, multipart};

use crate::{Answer, Visitor, random_parts};

/// Ids of the nine products.
const PRODUCTS: [&str; 9] = [
    "OLJCESPC7Z",
    "66VCHSJNUP",
    "1YMWWN1N4O",
    "L9ECAV7KIM",
    "2ZYFJ3GM2N",
    "0PUK6V6EV0",
    "LS4PSXUNUM",
    "9SIQT8TOJO",
    "6E92ZMYYFZ",
];

/// The currencies that the shop offers.
const CURRENCIES: [&str; 6] = ["EUR", "USD", "JPY", "GBP", "TRY", "CAD"];

/// A good order, as the form has it.
pub const ORDER: [(&str, &str); 10] = [
    ("email", "someone@example.com"),
    ("street_address", "1600 Amphitheatre Parkway"),
    ("zip_code", "94043"),
    ("city", "Mountain View"),
    ("state", "CA"),
    ("country", "United States"),
    ("credit_card_number", "4432801561520454"),
    ("credit_card_expiration_month", "1"),
    ("credit_card_expiration_year", "2099"),
    ("credit_card_cvv", "672"),
];

/// Everything that the shop answered on a tour, random parts hidden.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tour {
    steps: Vec<(String, Answer)>,
}

impl Tour {
    /// Visits the shop.
    ///
    /// # Errors
    ///
    /// If the shop gives no answer, or one with another status than it should.
    pub async fn take(shop: &str) -> anyhow::Result<Self> {
        let mut guide = Guide {
            shop,
            visitor: Visitor::new(shop)?,
            tour: Self::default(),
        };
        guide.strangers().await?;
        guide.visitor.set_cookie("shop_session-id", "tourist");
        guide.products().await?;
        guide.currencies().await?;
        guide.cart().await?;
        guide.bad_cart_forms().await?;
        guide.bad_orders().await?;
        guide.orders().await?;
        guide.logout().await?;
        guide.plain_files().await?;
        Ok(guide.tour)
    }

    /// How many answers there were.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// All of it as one text, to be compared.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, answer) in &self.steps {
            let _ = writeln!(text, "──── {name}\n{}", answer.status);
            for (header, values) in &answer.headers {
                for value in values {
                    let _ = writeln!(text, "{header}: {value}");
                }
            }
            let _ = writeln!(text, "\n{}", answer.body);
        }
        text
    }
}

/// Who leads a tour, and writes it down.
struct Guide<'a> {
    shop: &'a str,
    visitor: Visitor,
    tour: Tour,
}

impl Guide<'_> {
    async fn request(
        &mut self,
        name: String,
        path: &str,
        status: u16,
        request: RequestBuilder,
    ) -> anyhow::Result<()> {
        let answer = self.visitor.send(request).await?;
        self.write_down(name, path, status, answer)
    }

    fn write_down(
        &mut self,
        name: String,
        path: &str,
        status: u16,
        answer: Answer,
    ) -> anyhow::Result<()> {
        let Answer {
            status: got, body, ..
        } = &answer;
        anyhow::ensure!(*got == status, "{name}: {got} and not {status}:\n{body}");
        let answer = random_parts::hide(self.shop, path, answer).with_context(|| name.clone())?;
        self.tour.steps.push((name, answer));
        Ok(())
    }

    async fn method(&mut self, method: Method, path: &str, status: u16) -> anyhow::Result<()> {
        let request = self.visitor.request(method.clone(), path);
        let answer = self.visitor.send(request).await?;
        self.write_down(format!("{method} {path}"), path, status, answer)
    }

    async fn get(&mut self, path: &str, status: u16) -> anyhow::Result<()> {
        self.method(Method::GET, path, status).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)], status: u16) -> anyhow::Result<()> {
        let request = self.visitor.request(Method::POST, path).form(form);
        self.request(format!("POST {path} {form:?}"), path, status, request)
            .await
    }

    /// An order with some fields changed; `None` leaves a field out.
    async fn order(&mut self, changes: &[(&str, Option<&str>)], status: u16) -> anyhow::Result<()> {
        let changed = |name: &str| changes.iter().find(|(changed, _)| *changed == name);
        let form: Vec<(&str, &str)> = ORDER
            .iter()
            .filter_map(|&(name, value)| match changed(name) {
                None => Some((name, value)),
                Some((_, value)) => value.map(|value| (name, value)),
            })
            .collect();
        let request = self
            .visitor
            .request(Method::POST, "/cart/checkout")
            .form(&form);
        self.request(
            format!("order {changes:?}"),
            "/cart/checkout",
            status,
            request,
        )
        .await
    }

    /// Who comes for the first time gets a session, wherever that is.
    async fn strangers(&mut self) -> anyhow::Result<()> {
        for path in [
            "/",
            "/product/OLJCESPC7Z",
            "/cart",
            "/_healthz",
            "/robots.txt",
        ] {
            self.visitor = Visitor::new(self.shop)?;
            self.get(path, 200).await?;
        }
        self.visitor = Visitor::new(self.shop)?;
        self.get("/no/such/page", 404).await
    }

    async fn products(&mut self) -> anyhow::Result<()> {
        self.get("/", 200).await?;
        self.method(Method::HEAD, "/", 200).await?;
        for id in PRODUCTS {
            self.get(&format!("/product/{id}"), 200).await?;
            self.get(&format!("/product-meta/{id}"), 200).await?;
        }
        for id in ["NOSUCHTHING", "oljcespc7z", "%3Cscript%3E"] {
            self.get(&format!("/product/{id}"), 404).await?;
            self.get(&format!("/product-meta/{id}"), 200).await?;
        }
        for (method, path) in [
            (Method::POST, "/"),
            (Method::DELETE, "/cart"),
            (Method::GET, "/setCurrency"),
            (Method::GET, "/cart/checkout"),
            (Method::PUT, "/product/OLJCESPC7Z"),
        ] {
            self.method(method, path, 405).await?;
        }
        self.get("/cart/", 404).await
    }

    async fn currencies(&mut self) -> anyhow::Result<()> {
        self.post(
            "/cart",
            &[("product_id", "1YMWWN1N4O"), ("quantity", "3")],
            302,
        )
        .await?;
        for code in CURRENCIES {
            self.post("/setCurrency", &[("currency_code", code)], 302)
                .await?;
            for path in ["/", "/product/LS4PSXUNUM", "/cart"] {
                self.get(path, 200).await?;
            }
        }
        // Known to ISO 4217, but not to the shop: what it does then is the same everywhere too.
        for code in ["", "HRK", "usd", "US", "\u{20ac}"] {
            self.post("/setCurrency", &[("currency_code", code)], 422)
                .await?;
        }
        let own = format!("{}/product/1YMWWN1N4O", self.shop);
        for (referer, name) in [
            (&*own, "the shop"),
            ("https://elsewhere.example/cart", "elsewhere"),
            ("not an address", "nowhere"),
        ] {
            let request = self.visitor.request(Method::POST, "/setCurrency");
            let request = request.header(header::REFERER, referer);
            let request = request.form(&[("currency_code", "USD")]);
            let name = format!("POST /setCurrency from {name}");
            self.request(name, "/setCurrency", 302, request).await?;
        }
        Ok(())
    }

    async fn cart(&mut self) -> anyhow::Result<()> {
        self.post("/cart/empty", &[], 302).await?;
        self.get("/cart", 200).await?;
        for (index, id) in PRODUCTS.iter().enumerate() {
            let quantity = (index + 1).to_string();
            self.post("/cart", &[("product_id", id), ("quantity", &quantity)], 302)
                .await?;
            self.get("/cart", 200).await?;
        }
        // More of the first one: its line keeps its place.
        self.post(
            "/cart",
            &[("product_id", PRODUCTS[0]), ("quantity", "10")],
            302,
        )
        .await?;
        self.get("/cart", 200).await?;
        let form = multipart::Form::new()
            .text("product_id", PRODUCTS[1])
            .text("quantity", "2");
        let request = self.visitor.request(Method::POST, "/cart").multipart(form);
        self.request("POST /cart in parts".to_owned(), "/cart", 302, request)
            .await?;
        let path = "/cart?product_id=2ZYFJ3GM2N&quantity=1";
        self.post(path, &[("quantity", "2")], 302).await?;
        self.get("/cart", 200).await
    }

    async fn bad_cart_forms(&mut self) -> anyhow::Result<()> {
        let id = PRODUCTS[2];
        for quantity in ["", "0", "11", "-1", "+1", "1.5", "ten", "99999999999"] {
            self.post("/cart", &[("product_id", id), ("quantity", quantity)], 422)
                .await?;
        }
        self.post("/cart", &[("quantity", "1")], 422).await?;
        self.post("/cart", &[], 422).await?;
        self.post(
            "/cart",
            &[("product_id", "NOSUCHTHING"), ("quantity", "1")],
            404,
        )
        .await?;
        self.get("/cart", 200).await
    }

    async fn bad_orders(&mut self) -> anyhow::Result<()> {
        self.post("/cart/checkout", &[], 422).await?;
        let long = "x".repeat(513);
        for (field, values) in [
            (
                "email",
                &["", "someone", "a@b", "a b@example.com", "a@example.com."][..],
            ),
            ("street_address", &["", &long]),
            ("zip_code", &["", "0", "abc"]),
            ("city", &["", &long]),
            ("state", &[""]),
            ("country", &[""]),
            (
                "credit_card_number",
                &["", "1234", "4432801561520455", "4432-8015-6152-0454"],
            ),
            ("credit_card_expiration_month", &["", "0", "13", "-1"]),
            ("credit_card_expiration_year", &["", "0"]),
            ("credit_card_cvv", &["", "0"]),
        ] {
            self.order(&[(field, None)], 422).await?;
            for value in values {
                self.order(&[(field, Some(*value))], 422).await?;
            }
        }
        // Good in form, but refused by the payment.
        let expired = [
            ("credit_card_expiration_year", Some("2001")),
            ("credit_card_expiration_month", Some("12")),
        ];
        self.refused(&[("credit_card_number", Some("378282246310005"))])
            .await?;
        self.refused(&[("credit_card_number", Some("4026000000000002"))])
            .await?;
        self.refused(&expired).await?;
        self.get("/cart", 200).await
    }

    async fn refused(&mut self, changes: &[(&str, Option<&str>)]) -> anyhow::Result<()> {
        self.order(changes, 402).await
    }

    async fn orders(&mut self) -> anyhow::Result<()> {
        for code in CURRENCIES {
            self.post("/setCurrency", &[("currency_code", code)], 302)
                .await?;
            self.post(
                "/cart",
                &[("product_id", PRODUCTS[3]), ("quantity", "2")],
                302,
            )
            .await?;
            self.order(&[], 200).await?;
            self.get("/cart", 200).await?;
        }
        // An empty cart can be bought too, and costs nothing.
        self.order(&[], 200).await?;
        let spaced = [("credit_card_number", Some("4432 8015 6152 0454"))];
        self.order(&spaced, 200).await?;
        self.order(
            &[("street_address", Some("<b>Ünter den Linden</b> & 'Co'"))],
            200,
        )
        .await
    }

    async fn logout(&mut self) -> anyhow::Result<()> {
        self.get("/logout", 302).await?;
        self.get("/cart", 200).await
    }

    async fn plain_files(&mut self) -> anyhow::Result<()> {
        for path in ["/static/shop.css", "/static/img/products/sunglasses.svg"] {
            self.visitor.set_cookie("shop_session-id", "tourist");
            self.get(path, 200).await?;
        }
        for path in ["/static/", "/static/no-such-file", "/static/../Cargo.toml"] {
            self.get(path, 404).await?;
        }
        Ok(())
    }
}
