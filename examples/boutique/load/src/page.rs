//! Whether a page is the right one for the shopper who asked for it.

use std::{fmt, sync::LazyLock};

use regex::Regex;
use scraper::{Html, Selector};

use crate::{CATALOGUE, Currency, Money, OrderForm, Product, SHIPPING};

/// What a shopper has put into the cart, in the order of the first time, and the currency it is shown in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Basket {
    lines: Vec<(Product, u32)>,
    /// The currency that the shopper chose.
    pub currency: Currency,
}

impl Basket {
    /// Adds to the line of `product`, or begins it.
    pub fn add(&mut self, product: Product, quantity: u32) {
        match self.lines.iter_mut().find(|(there, _)| *there == product) {
            Some((_, sum)) => *sum += quantity,
            None => self.lines.push((product, quantity)),
        }
    }

    /// Each product in it, and how many.
    pub fn lines(&self) -> &[(Product, u32)] {
        &self.lines
    }

    /// Takes everything out.
    pub fn empty(&mut self) {
        self.lines.clear();
    }

    /// The number of things in it: what the badge on the cart shows.
    pub fn count(&self) -> u32 {
        self.lines.iter().map(|(_, quantity)| quantity).sum()
    }

    /// The price of one `product`.
    pub fn price(&self, product: &Product) -> Money {
        product.price.to(self.currency)
    }

    /// What shipping costs.
    pub fn shipping(&self) -> Money {
        if self.lines.is_empty() {
            Money::zero(self.currency)
        } else {
            SHIPPING.to(self.currency)
        }
    }

    /// What everything costs, with shipping.
    pub fn total(&self) -> Money {
        self.lines
            .iter()
            .fold(self.shipping(), |sum, (product, quantity)| {
                sum.plus(self.price(product).times(*quantity))
            })
    }
}

/// What a shopper keeps of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The order's id, a UUID.
    pub confirmation: String,
    /// The parcel's.
    pub tracking: String,
}

/// What is wrong with a page: one sentence, made of what was to be there.
pub(crate) type Wrong = String;

/// A page of the shop, parsed.
pub struct Page {
    document: Html,
    text: String,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

/// A selector that is known to be one.
macro_rules! selector {
    ($text:literal) => {{
        static SELECTOR: LazyLock<Selector> =
            LazyLock::new(|| Selector::parse($text).expect("the selector is CSS"));
        &*SELECTOR
    }};
}

impl Page {
    /// Parses HTML; like a browser, it makes something of everything.
    pub fn parse(html: &str) -> Self {
        let document = Html::parse_document(html);
        let body = document.select(selector!("body")).next();
        let text = body.map(|body| words(body.text())).unwrap_or_default();
        Self { document, text }
    }

    /// What a browser shows of it, on one line.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The home page.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it should be; so with the other pages.
    pub fn is_home(&self, basket: &Basket) -> Result<(), Wrong> {
        self.has_header(basket)?;
        let mut text = self.after("Hot Products")?;
        for product in &CATALOGUE {
            self.links_to(product)?;
            text = after(text, product.name)?;
            text = after(text, &basket.price(product).to_string())?;
        }
        Ok(())
    }

    /// The page of a product.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn is_product(&self, product: &Product, basket: &Basket) -> Result<(), Wrong> {
        self.has_header(basket)?;
        self.after(product.name)?;
        self.after(&basket.price(product).to_string())?;
        self.after("Add To Cart")?;
        let mut hidden = self
            .document
            .select(selector!("form input[name=product_id]"));
        match hidden.next().and_then(|input| input.attr("value")) {
            Some(id) if id == product.id => Ok(()),
            other => Err(format!(
                "the form adds `{}` and not `{}`",
                other.unwrap_or(""),
                product.id
            )),
        }
    }

    /// The page of the cart.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn is_cart(&self, basket: &Basket) -> Result<(), Wrong> {
        self.has_header(basket)?;
        if basket.lines.is_empty() {
            return self.after("Your shopping cart is empty!").map(drop);
        }
        let mut text = self.after(&format!("Cart ({})", basket.count()))?;
        for (product, quantity) in &basket.lines {
            text = after(text, product.name)?;
            text = after(text, &format!("SKU #{}", product.id))?;
            text = after(text, &format!("Quantity: {quantity} "))?;
            text = after(text, &basket.price(product).times(*quantity).to_string())?;
        }
        text = after(text, "Shipping")?;
        text = after(text, &basket.shipping().to_string())?;
        text = after(text, "Total")?;
        after(text, &basket.total().to_string()).map(drop)
    }

    /// The page after an order of what is in `basket`.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn is_order(&self, form: &OrderForm, basket: &Basket) -> Result<Receipt, Wrong> {
        static CONFIRMATION: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"Confirmation # ?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
                .expect("the pattern is one")
        });
        static TRACKING: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"Tracking # ?(([A-Y]{2})-(\d+)-(\d+))\b").expect("the pattern is one")
        });
        self.titled()?;
        let text = self.after("Your order is complete!")?;
        after(text, "We've sent you a confirmation email.")?;
        let confirmation = CONFIRMATION
            .captures(text)
            .ok_or("no confirmation number")?;
        let tracking = TRACKING.captures(text).ok_or("no tracking number")?;
        // The numbers begin with the length of the address, and with half of it.
        let length = form.street_address.len() + form.city.len() + form.state.len() + 4;
        let whole = tracking[3].strip_prefix(&length.to_string()).map(str::len);
        let half = tracking[4]
            .strip_prefix(&(length / 2).to_string())
            .map(str::len);
        if (whole, half) != (Some(3), Some(7)) {
            let shape = format!("AA-{length}000-{}0000000", length / 2);
            return Err(format!(
                "tracking number {} is not like {shape}",
                &tracking[1]
            ));
        }
        after(after(text, "Total Paid")?, &basket.total().to_string())?;
        Ok(Receipt {
            confirmation: confirmation[1].to_owned(),
            tracking: tracking[1].to_owned(),
        })
    }

    /// The page that says that a card of Visa Electron is not taken.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn is_refusal(&self) -> Result<(), Wrong> {
        self.after("Sorry, we cannot process visa_electron credit cards.")
            .map(drop)
    }

    /// What every page but those of orders and errors begins with.
    fn has_header(&self, basket: &Basket) -> Result<(), Wrong> {
        self.titled()?;
        let mut chosen = self
            .document
            .select(selector!("select[name=currency_code] option[selected]"));
        let chosen = chosen
            .next()
            .map(|option| words(option.text()))
            .unwrap_or_default();
        if !chosen.contains(basket.currency.code()) {
            return Err(format!(
                "currency `{chosen}`, and not {}",
                basket.currency.code()
            ));
        }
        let badge = self.badge();
        if badge != basket.count() {
            return Err(format!(
                "{badge} things on the cart's badge, and not {}",
                basket.count()
            ));
        }
        Ok(())
    }

    fn titled(&self) -> Result<(), Wrong> {
        let title = self.document.select(selector!("title")).next();
        let title = title.map(|title| words(title.text())).unwrap_or_default();
        match title.contains("Online Boutique") {
            true => Ok(()),
            false => Err(format!("title `{title}`, and not `Online Boutique`")),
        }
    }

    /// The number on the first link to the cart; 0 if there is none.
    fn badge(&self) -> u32 {
        let link = self.document.select(selector!("a[href$='/cart']")).next();
        let text: String = link.map(|link| link.text().collect()).unwrap_or_default();
        text.split(|letter: char| !letter.is_ascii_digit())
            .find_map(|number| number.parse().ok())
            .unwrap_or(0)
    }

    fn links_to(&self, product: &Product) -> Result<(), Wrong> {
        let target = format!("/product/{}", product.id);
        let links = self.document.select(selector!("a[href]"));
        match links
            .filter_map(|link| link.attr("href"))
            .any(|href| href.ends_with(&target))
        {
            true => Ok(()),
            false => Err(format!("no link to `{target}`")),
        }
    }

    fn after(&self, wanted: &str) -> Result<&str, Wrong> {
        after(&self.text, wanted)
    }
}

/// What follows the first `wanted` in `text`.
fn after<'a>(text: &'a str, wanted: &str) -> Result<&'a str, Wrong> {
    match text.split_once(wanted) {
        Some((_, rest)) => Ok(rest),
        None => Err(format!("`{wanted}` is missing, or not where it belongs")),
    }
}

/// Text as a browser shows it: every run of white space, and every border of an element, is one blank.
fn words<'a>(text: impl Iterator<Item = &'a str>) -> String {
    text.flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}
