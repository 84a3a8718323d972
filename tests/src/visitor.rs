//! Somebody who visits the shop without a browser, and looks at every byte.

use std::collections::BTreeMap;

use netns::Host;
use reqwest::{Client, Method, RequestBuilder, header, redirect};

use crate::Page;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers that the shop itself decides on, with lower-case names, in the order of those.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body.
    pub body: String,
}

/// A client that keeps its own cookies, so that a test can see and set them, and follows no redirect.
///
/// Each request has a connection of its own, so requests meet every replica that shares a listener.
#[derive(Debug)]
pub struct Visitor {
    shop: String,
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    /// Somebody without cookies.
    ///
    /// # Errors
    ///
    /// What keeps the HTTP client from being made.
    pub fn new(shop: &str) -> reqwest::Result<Self> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .pool_max_idle_per_host(0)
            .timeout(std::time::Duration::from_secs(30))
            .build()?;
        Ok(Self {
            shop: shop.to_owned(),
            client,
            cookies: BTreeMap::new(),
        })
    }

    /// Runs `work` with somebody who visits `shop` from `host`.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn at<T: Send>(
        host: &Host,
        shop: &str,
        work: impl AsyncFnOnce(&mut Self) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        host.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let mut visitor = Self::new(shop)?;
            runtime.block_on(work(&mut visitor))
        })?
    }

    /// A request to `path`, which [`Visitor::send`] sends.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.shop));
        if self.cookies.is_empty() {
            return request;
        }
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        request.header(header::COOKIE, cookies.collect::<Vec<_>>().join("; "))
    }

    /// Sends it, and keeps the cookies that come back.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn send(&mut self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in response.headers() {
            // The time of day is not the shop's affair.
            if name != header::DATE {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                headers.entry(name.to_string()).or_default().push(value);
            }
        }
        for cookie in headers.get("set-cookie").into_iter().flatten() {
            self.keep(cookie);
        }
        Ok(Answer {
            status,
            headers,
            body: response.text().await?,
        })
    }

    /// `GET path`.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn get(&mut self, path: &str) -> reqwest::Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST path` with a form.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> reqwest::Result<Answer> {
        self.send(self.request(Method::POST, path).form(form)).await
    }

    /// Asks for a page, and sends its form if it has one.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn visit(&mut self, page: &Page) -> reqwest::Result<Answer> {
        match page.form {
            None => self.get(page.path).await,
            Some(form) => self.post(page.path, form).await,
        }
    }

    /// Sets a cookie.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Takes over `Set-Cookie: cookie`, as far as the shop makes use of it.
    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let Some((name, value)) = pair.split_once('=') else {
            return;
        };
        let expired = attributes
            .split(';')
            .any(|attribute| attribute.trim() == "Max-Age=0");
        if expired {
            self.cookies.remove(name);
        } else {
            self.set_cookie(name, value);
        }
    }
}
