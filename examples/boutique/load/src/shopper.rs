//! One browser, and the person in front of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header, redirect};
use tokio::time::Instant;

use crate::{
    Basket, CATALOGUE, Currency, Exchange, Money, OrderForm, Page, Product, Report, RequestKind,
    Task, page::Wrong,
};

/// After this long without an answer, a request has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What can go wrong with a request is counted where it is made; this only ends the task.
struct Failed;

/// One browser: its connection, its cookies, and what its user expects to see.
#[derive(Debug)]
pub struct Shopper {
    /// Where the shop is, without a slash at the end.
    shop: String,
    browser: Client,
    rng: Rng,
    basket: Basket,
    report: Arc<Mutex<Report>>,
    reads_pages: bool,
    /// As [`Load::repeats`](crate::Load::repeats).
    pub(crate) repeats: bool,
    /// Since when the next request has been due, if it is late.
    due: Option<Instant>,
}

impl Shopper {
    /// A browser without cookies, whose user behaves as `seed` says.
    ///
    /// # Errors
    ///
    /// What keeps the HTTP client from being made.
    pub fn new(
        shop: &str,
        seed: u64,
        reads_pages: bool,
        report: Arc<Mutex<Report>>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            shop: shop.trim_end_matches('/').to_owned(),
            browser: browser()?,
            rng: Rng::with_seed(seed),
            basket: Basket::default(),
            report,
            reads_pages,
            repeats: false,
            due: None,
        })
    }

    /// Draws the next task.
    pub fn draw(&mut self) -> Task {
        Task::draw(&mut self.rng)
    }

    /// Draws how long to think before it.
    pub fn think(&mut self) -> Duration {
        crate::think(&mut self.rng)
    }

    /// Does `task`. What comes of each request is counted in the report; the first one is counted from when
    /// it was `due`, so a shop that is too slow for the rate cannot hide that.
    ///
    /// After a failure the shopper begins again as somebody else: what is in the cart is not known any more.
    ///
    /// # Cancellation
    ///
    /// A request that is on its way is not counted, and may still be executed.
    pub async fn perform(&mut self, task: Task, due: Option<Instant>) {
        self.due = due;
        let done = match task {
            Task::Index => self.home().await,
            Task::SetCurrency => self.set_currency().await,
            Task::Browse => self.browse().await.map(drop),
            Task::AddToCart => self.add_to_cart().await,
            Task::ViewCart => self.cart().await,
            Task::Checkout => self.checkout().await,
        };
        self.counted(Report::add_task);
        if let Err(Failed) = done {
            self.basket = Basket::default();
            // It was made before, so it can be made again.
            if let Ok(browser) = browser() {
                self.browser = browser;
            }
        }
    }

    async fn home(&mut self) -> Result<(), Failed> {
        let request = self.request(Method::GET, "/");
        self.page(RequestKind::Home, request, |page, basket| {
            page.is_home(basket)
        })
        .await
    }

    async fn set_currency(&mut self) -> Result<(), Failed> {
        let currency = Currency::ALL[self.rng.usize(0..Currency::ALL.len())];
        let form = [("currency_code", currency.code().to_owned())];
        self.redirected(RequestKind::SetCurrency, "/setCurrency", &form, "/")
            .await?;
        self.basket.currency = currency;
        self.home().await
    }

    async fn browse(&mut self) -> Result<Product, Failed> {
        let product = CATALOGUE[self.rng.usize(0..CATALOGUE.len())];
        let request = self.request(Method::GET, &format!("/product/{}", product.id));
        self.page(RequestKind::Product, request, |page, basket| {
            page.is_product(&product, basket)
        })
        .await?;
        Ok(product)
    }

    async fn add_to_cart(&mut self) -> Result<(), Failed> {
        let product = self.browse().await?;
        let quantity = self.rng.u32(1..=10);
        let form = [
            ("product_id", product.id.to_owned()),
            ("quantity", quantity.to_string()),
        ];
        self.redirected(RequestKind::Add, "/cart", &form, "/cart")
            .await?;
        self.basket.add(product, quantity);
        self.cart().await
    }

    async fn cart(&mut self) -> Result<(), Failed> {
        let request = self.request(Method::GET, "/cart");
        self.page(RequestKind::Cart, request, |page, basket| {
            page.is_cart(basket)
        })
        .await
    }

    async fn checkout(&mut self) -> Result<(), Failed> {
        self.add_to_cart().await?;
        let form = OrderForm::draw(&mut self.rng);
        let request = self
            .request(Method::POST, "/cart/checkout")
            .form(&form.fields());
        let request = request.header(header::CONTENT_TYPE, FORM);
        let refused = form.card.is_refused();
        let check = |basket: &Basket, status: StatusCode, page: &str| {
            if refused {
                return match status.is_client_error() {
                    true => Page::parse(page).is_refusal(),
                    false => Err(format!(
                        "{status}, and a card of Visa Electron was to be refused"
                    )),
                };
            }
            wants(StatusCode::OK, status, page)?;
            Page::parse(page).is_order(&form, basket).map(drop)
        };
        let total = (!refused).then(|| self.basket.total());
        self.exchange(RequestKind::Checkout, request, total, check)
            .await?;
        match refused {
            true => self.counted(Report::add_refused_card),
            false => self.basket.empty(),
        }
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.browser.request(method, format!("{}{path}", self.shop))
    }

    /// Asks for a page, and reads it.
    async fn page(
        &mut self,
        kind: RequestKind,
        request: RequestBuilder,
        read: impl FnOnce(&Page, &Basket) -> Result<(), Wrong>,
    ) -> Result<(), Failed> {
        let reads_pages = self.reads_pages;
        let check = |basket: &Basket, status: StatusCode, page: &str| {
            wants(StatusCode::OK, status, page)?;
            if reads_pages {
                read(&Page::parse(page), basket)
            } else {
                Ok(())
            }
        };
        self.exchange(kind, request, None, check).await
    }

    /// Sends a form whose answer is the way to another page.
    async fn redirected(
        &mut self,
        kind: RequestKind,
        path: &str,
        form: &[(&str, String)],
        target: &str,
    ) -> Result<(), Failed> {
        let request = self.request(Method::POST, path).form(form);
        let request = request.header(header::CONTENT_TYPE, FORM);
        let wanted = format!("302 to {target}");
        let check = |_: &Basket, status: StatusCode, answer: &str| match answer == wanted {
            true => Ok(()),
            false => Err(format!(
                "{status}, and not {wanted}: `{}`",
                beginning(answer)
            )),
        };
        self.exchange(kind, request, None, check).await
    }

    /// Sends a request, takes the time until all of the answer is there, and counts it with what `check` says. `total`
    /// is what it costs the shopper.
    ///
    /// In place of the body of a redirect, `check` gets `302 to {target}`.
    async fn exchange(
        &mut self,
        kind: RequestKind,
        request: RequestBuilder,
        total: Option<Money>,
        check: impl FnOnce(&Basket, StatusCode, &str) -> Result<(), Wrong>,
    ) -> Result<(), Failed> {
        let begun = self.due.take().unwrap_or_else(Instant::now);
        let again = match kind.changes_nothing() && self.repeats {
            true => request.try_clone(),
            false => None,
        };
        let mut answer = answer_to(request).await;
        let mut repeated = false;
        if let (Err(error), Some(again)) = (&answer, again)
            && !error.is_timeout()
        {
            repeated = true;
            answer = answer_to(again).await;
        }
        let (took, answered) = (begun.elapsed(), answer.is_ok());
        let checked = answer
            .map_err(|error| format!("no answer: {}", causes(&error.without_url())))
            .and_then(|(status, body)| check(&self.basket, status, &body));
        let exchange = Exchange {
            kind,
            begun,
            took,
            wrong: checked.as_ref().err().cloned(),
            answered,
            repeated,
            total,
        };
        self.counted(|report| report.add(exchange));
        checked.map_err(|_| Failed)
    }

    fn counted(&self, count: impl FnOnce(&mut Report)) {
        count(&mut self.report.lock().expect("nobody panics while counting"));
    }
}

fn browser() -> reqwest::Result<Client> {
    Client::builder()
        .cookie_store(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true)
        .timeout(PATIENCE)
        .build()
}

async fn answer_to(request: RequestBuilder) -> reqwest::Result<(StatusCode, String)> {
    let response: Response = request.send().await?;
    let status = response.status();
    let target = response.headers().get(header::LOCATION);
    let target = target
        .and_then(|target| target.to_str().ok())
        .map(str::to_owned);
    let body = response.text().await?;
    Ok(match target {
        Some(target) if status.is_redirection() => {
            (status, format!("{} to {target}", status.as_u16()))
        }
        _ => (status, body),
    })
}

fn wants(wanted: StatusCode, status: StatusCode, page: &str) -> Result<(), Wrong> {
    if status == wanted {
        return Ok(());
    }
    Err(format!("{status}, and not {wanted}: `{}`", beginning(page)))
}

/// What a page is quoted with at most. The longest that the shop says of what has failed must fit, since who reads it judges
/// by the end.
const QUOTED: usize = 400;

/// The visible text of a page, as much of it as is quoted.
fn beginning(page: &str) -> String {
    let text = Page::parse(page).into_text().replace('`', "'");
    // What has failed stands below the head of the page.
    let text = text
        .split_once("This is what we know about it:")
        .map_or(text.as_str(), |(_, what)| what);
    text.trim().chars().take(QUOTED).collect()
}

/// An error and everything behind it, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_that_is_said_of_an_order_is_quoted_to_its_end() {
        let message = "failed to complete the order: failed to charge card: could not charge the card: \
                       the payment component gave no answer";
        let page = format!(
            "<p>Something has failed. This is what we know about it:</p>\
             <p>HTTP Status: 500 Internal Server Error</p><pre>{message}</pre>"
        );
        let quoted = beginning(&page);
        assert!(quoted.starts_with("HTTP Status: 500"), "{quoted}");
        assert!(quoted.ends_with(message), "{quoted}");
        assert!(beginning(&"long ".repeat(1000)).chars().count() <= QUOTED);
    }
}
