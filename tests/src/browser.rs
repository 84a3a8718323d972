//! A real browser: Debian's chromium, steered by its chromedriver.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource as _, KeyAction, KeyActions},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{leftovers, target_folder};

/// How long a page may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser that runs until it is dropped. It has never been anywhere before.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    driver: Driver,
    /// The first part of the name of each screenshot.
    name: String,
}

impl Browser {
    /// Starts one, whose screenshots go to `target/screenshots/{name}-….png`.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub async fn start(name: &str) -> anyhow::Result<Self> {
        let profile = TempDir::new()?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env(leftovers::MARK, profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run chromedriver: `cargo xtask test` installs it")?;
        let output = BufReader::new(driver.stdout.take().expect("it is piped"));
        // From here on, dropping it stops what was started.
        let mut driver = Driver {
            process: driver,
            output,
            profile,
            url: String::new(),
        };
        let lines = driver.output.by_ref().lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.context("chromedriver did not start")?;
        let options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,960",
                format!("--user-data-dir={}", driver.profile.path().display()),
            ],
        });
        driver.url = format!("http://127.0.0.1:{port}");
        let logs = json!({"browser": "ALL", "performance": "ALL"});
        let capabilities = [
            ("goog:chromeOptions".to_owned(), options),
            ("goog:loggingPrefs".to_owned(), logs),
        ];
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.into_iter().collect())
            .connect(&driver.url)
            .await
            .context("chromium did not start")?;
        Ok(Self {
            client,
            driver,
            name: name.to_owned(),
        })
    }

    /// Closes it in good order; a browser that is only dropped is killed.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.client.close().await?)
    }

    /// Goes to an address.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn go_to(&self, url: &str) -> anyhow::Result<()> {
        self.client
            .goto(url)
            .await
            .with_context(|| format!("cannot go to {url}"))
    }

    /// Waits for the first element that fits the CSS selector, and clicks it.
    ///
    /// # Errors
    ///
    /// If it does not come, or cannot be clicked.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.wait_for(selector).await?;
        element
            .click()
            .await
            .with_context(|| format!("cannot click `{selector}`"))
    }

    /// Chooses the option with this value.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn choose(&self, selector: &str, value: &str) -> anyhow::Result<()> {
        let element = self.wait_for(selector).await?;
        element
            .select_by_value(value)
            .await
            .with_context(|| format!("cannot choose {value} in `{selector}`"))
    }

    /// Chooses the option with this text.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn choose_text(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let element = self.wait_for(selector).await?;
        element
            .select_by_label(text)
            .await
            .with_context(|| format!("cannot choose {text} in `{selector}`"))
    }

    /// What the element shows.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub async fn text(&self, selector: &str) -> anyhow::Result<String> {
        Ok(self.wait_for(selector).await?.text().await?)
    }

    /// Waits until the first element that fits the selector shows `text`. Going to another page takes a while.
    ///
    /// # Errors
    ///
    /// If it shows something else to the end.
    pub async fn wait_for_text(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            // The page may change between finding the element and reading it.
            let shown = match self.client.find(Locator::Css(selector)).await {
                Ok(element) => element.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if shown == text {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "`{selector}` shows `{shown}`, and not `{text}`"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Saves what is to be seen, as `target/screenshots/{name}-{page}.png`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub async fn screenshot(&self, page: &str) -> anyhow::Result<()> {
        let folder = target_folder().join("screenshots");
        fs::create_dir_all(&folder)?;
        let picture = self.client.screenshot().await?;
        fs::write(folder.join(format!("{}-{page}.png", self.name)), picture)?;
        Ok(())
    }

    /// The same in each colour scheme, as `…-light.png` and `…-dark.png`.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub async fn screenshots(&self, page: &str) -> anyhow::Result<()> {
        for scheme in ["light", "dark"] {
            self.prefer("prefers-color-scheme", scheme).await?;
            self.screenshot(&format!("{page}-{scheme}")).await?;
        }
        Ok(())
    }

    /// Waits until the JavaScript expression `condition` is true on the page.
    ///
    /// # Errors
    ///
    /// If it is false to the end.
    pub async fn wait_until(&self, condition: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        // A page that changes may lack something for a moment that the expression speaks of.
        let script = format!("try {{ return Boolean({condition}) }} catch {{ return false }}");
        while self.run(&script).await? != Value::Bool(true) {
            if Instant::now() >= end {
                let page = self.text("body").await.unwrap_or_default();
                anyhow::bail!("`{condition}` does not become true on the page\n{page}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Runs a script on the page; returns what it returns.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        let done = self.client.execute(script, Vec::new()).await;
        done.with_context(|| format!("cannot run `{script}`"))
    }

    /// Presses keys, wherever the focus is. Those without a letter are characters of their own, by the WebDriver standard.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn press(&self, keys: &str) -> anyhow::Result<()> {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for value in keys.chars() {
            actions = actions
                .then(KeyAction::Down { value })
                .then(KeyAction::Up { value });
        }
        Ok(self.client.perform_actions(actions).await?)
    }

    /// Types `text` into an input, in the place of what is there.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn fill(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let input = self.wait_for(selector).await?;
        input.clear().await?;
        Ok(input.send_keys(text).await?)
    }

    /// Pretends that its user has chosen something for all pages, such as `prefers-color-scheme` → `dark`.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn prefer(&self, feature: &str, value: &str) -> anyhow::Result<()> {
        let params = json!({"features": [{"name": feature, "value": value}]});
        let done = self.devtools("Emulation.setEmulatedMedia", &params).await;
        done.map(drop)
    }

    /// What the pages have complained of since this was asked last.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.log("browser").await?;
        let entries = entries
            .iter()
            .filter(|entry| entry["level"] != "DEBUG" && entry["level"] != "INFO");
        Ok(entries.map(ToString::to_string).collect())
    }

    /// The address of every request that pages have made since this was asked last.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn requests(&self) -> anyhow::Result<Vec<String>> {
        let mut urls = Vec::new();
        for entry in self.log("performance").await? {
            let message = entry["message"].as_str().context("no message")?;
            let message: Value = serde_json::from_str(message)?;
            if message["message"]["method"] == "Network.requestWillBeSent" {
                let url = &message["message"]["params"]["request"]["url"];
                urls.push(url.as_str().context("no address")?.to_owned());
            }
        }
        Ok(urls)
    }

    async fn log(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let entries = self.ask_driver("se/log", &json!({"type": kind})).await?;
        Ok(entries.as_array().cloned().unwrap_or_default())
    }

    /// What the WebDriver standard does not have, and chromedriver has.
    async fn ask_driver(&self, command: &str, body: &Value) -> anyhow::Result<Value> {
        let session = self.client.session_id().await?.context("no session")?;
        let url = format!("{}/session/{session}/{command}", self.driver.url);
        let asked = reqwest::Client::builder().no_proxy().build()?.post(url);
        let answer = asked.body(body.to_string()).send().await?;
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let value = answer["value"].take();
        ensure!(value.get("error").is_none(), "{command}: {value}");
        Ok(value)
    }

    /// What the page's scripts keep in memory once all is thrown away that nobody needs, in bytes; and how many nodes there
    /// are, those that are not shown included.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn heap(&self) -> anyhow::Result<(u64, u64)> {
        let none = json!({});
        self.devtools("HeapProfiler.collectGarbage", &none).await?;
        let used = self.devtools("Runtime.getHeapUsage", &none).await?;
        let counted = self.devtools("Memory.getDOMCounters", &none).await?;
        // Chromium has sizes as floating-point numbers.
        let bytes = used["usedSize"].as_f64().context("no size of the heap")?;
        let nodes = counted["nodes"].as_u64().context("no number of nodes")?;
        Ok((bytes as u64, nodes))
    }

    async fn devtools(&self, command: &str, params: &Value) -> anyhow::Result<Value> {
        let body = json!({"cmd": command, "params": params});
        self.ask_driver("goog/cdp/execute", &body).await
    }

    /// The processes that draw pages.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read.
    pub fn renderers(&self) -> anyhow::Result<Vec<u32>> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // Who ends meanwhile is none.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after = stat.rsplit_once(')').map(|(_, after)| after);
            let parent = after.and_then(|after| after.split_whitespace().nth(1)?.parse().ok());
            parents.extend(parent.map(|parent: u32| (pid, parent)));
        }
        let own = self.driver.process.id();
        let is_below = |pid: &u32| {
            let mut at = Some(pid);
            std::iter::from_fn(|| {
                at = at.and_then(|pid| parents.get(pid));
                at
            })
            .any(|parent| *parent == own)
        };
        let draws = |pid: &u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("--type=renderer")
        };
        let found = parents.keys().copied();
        Ok(found.filter(is_below).filter(draws).collect())
    }

    /// How large the page is seen, in pixels.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub async fn resize(&self, width: u32, height: u32) -> anyhow::Result<()> {
        Ok(self.client.set_window_size(width, height).await?)
    }

    async fn wait_for(&self, selector: &str) -> anyhow::Result<fantoccini::elements::Element> {
        let wait = self.client.wait().for_element(Locator::Css(selector));
        wait.await
            .with_context(|| format!("no `{selector}` on the page"))
    }
}

/// Chromedriver, and the folder of the browser that it starts.
#[derive(Debug)]
struct Driver {
    process: Child,
    /// Kept open, or the next thing that it says would end it.
    output: BufReader<ChildStdout>,
    profile: TempDir,
    /// Where it listens.
    url: String,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        leftovers::kill(self.profile.path());
    }
}
