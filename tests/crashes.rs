//! Replicas that are killed while people shop.

use std::{
    collections::{BTreeMap, HashSet},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use boutique_load::{Basket, CATALOGUE, Money, Page};
use e2e::{Answer, Door, Shop, Visitor};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

/// A killed replica has to be back after this long.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// Some dozens of pages have to come within this time. Generous: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two requests of a person.
const PAUSE: Duration = Duration::from_millis(5);

/// How many people buy.
const BUYERS: u32 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_is_back_soon_and_no_page_fails_and_nobody_pays_twice()
-> anyhow::Result<()> {
    let shop = Shop::with().topology("micro").start()?;
    let people = People::begin(&shop.url);
    let replicas = shop.replicas()?;
    ensure!(replicas.len() == 10, "{replicas:?}");
    for replica in &replicas {
        people.have_read_pages(60, &shop).await?;
        // Whose connections break is the one that holds them, and no other.
        let out = (replica.id == "Frontend-1").then(|| people.door.out());
        let back = kill(&shop, &replica.id).await?;
        drop(out);
        ensure!(
            back < BACK_WITHIN,
            "{} was back only after {back:?}",
            replica.id
        );
        println!("{} was killed, and back after {back:?}", replica.id);
    }
    people.have_read_pages(60, &shop).await?;
    people.judge(&shop).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_killed_in_a_reshape_takes_no_page_with_it_and_nobody_pays_twice()
-> anyhow::Result<()> {
    let shop = Shop::with().topology("micro").start()?;
    let people = People::begin(&shop.url);
    let way = ["window", "monolith", "vault", "micro", "monolith", "window"];
    for (step, topology) in way.iter().enumerate() {
        people.have_read_pages(60, &shop).await?;
        let mut command = shop.app().command()?;
        command.args(["reshape", topology]);
        let reshape = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let reshape = reshape.spawn()?;
        // Each time somewhere else on the way, and another one of those that are there.
        sleep(Duration::from_millis(60 * step as u64)).await;
        let replicas = shop.replicas()?;
        let victim = &replicas[7 * (step + 1) % replicas.len()];
        // Any of them may hold connections.
        let out = people.door.out();
        if let Some(pid) = victim.pid.and_then(Pid::from_raw) {
            // It may have left by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        let end = block_in_place(|| reshape.wait_with_output())?;
        people.have_read_pages(30, &shop).await?;
        drop(out);
        let told = String::from_utf8_lossy(&end.stderr);
        println!("{topology}, {} killed: {}{told}", victim.id, end.status);
        ensure!(end.status.code() == Some(0), "{told}\n{}", shop.output());
    }
    people.judge(&shop).await?;
    ensure!(shop.stop()?, "the command failed");
    Ok(())
}

/// Kills a replica, waits until it is ready again, and returns how long that took.
async fn kill(shop: &Shop, id: &str) -> anyhow::Result<Duration> {
    let before = shop.replica(id)?;
    let pid = before
        .pid
        .and_then(Pid::from_raw)
        .with_context(|| format!("{before:?}"))?;
    let begin = Instant::now();
    kill_process(pid, Signal::KILL)?;
    loop {
        let now = shop.replica(id)?;
        let took = begin.elapsed();
        if now.state == "ready" && now.pid != before.pid {
            return Ok(took);
        }
        ensure!(
            took < 10 * BACK_WITHIN,
            "{now:?} does not come back:\n{}",
            shop.output()
        );
        sleep(PAUSE).await;
    }
}

/// How often each amount was charged, by the log of the payments. Amounts are in billionths of a dollar.
fn payments(shop: &Shop) -> anyhow::Result<BTreeMap<i64, usize>> {
    let mut payments = BTreeMap::new();
    for line in shop.logged("charged a card")? {
        let number = |name: &str| line["fields"][name].as_i64().context("no such field");
        *payments
            .entry(number("units")? * 1_000_000_000 + number("nanos")?)
            .or_default() += 1;
    }
    Ok(payments)
}

/// What came of one attempt to buy something. No two have the same total, so payments can be told apart.
#[derive(Debug)]
struct Purchase {
    /// In billionths of a dollar.
    total: i64,
    /// Whether the page said that the order is complete.
    confirmed: bool,
}

/// Who looks at pages and buys things while replicas are killed.
struct People {
    door: Door,
    over: Arc<AtomicBool>,
    pages_read: Arc<AtomicUsize>,
    readers: JoinSet<anyhow::Result<Vec<anyhow::Result<()>>>>,
    buyers: JoinSet<anyhow::Result<Vec<Purchase>>>,
}

impl People {
    fn begin(shop: &str) -> Self {
        let door = Door::default();
        let over = Arc::new(AtomicBool::new(false));
        let pages_read = Arc::new(AtomicUsize::new(0));
        let mut readers = JoinSet::new();
        for name in ["rosa", "ravi", "ruth", "remy"] {
            let visitor = Visitor::new(shop).map(|visitor| Guest {
                visitor,
                door: door.clone(),
            });
            let (over, read) = (Arc::clone(&over), Arc::clone(&pages_read));
            readers.spawn(async move { read_pages(visitor?, name, &over, &read).await });
        }
        let mut buyers = JoinSet::new();
        for first in 0..BUYERS {
            let (shop, door, over) = (shop.to_owned(), door.clone(), Arc::clone(&over));
            buyers.spawn(async move { buy(&shop, &door, first, &over).await });
        }
        Self {
            door,
            over,
            pages_read,
            readers,
            buyers,
        }
    }

    /// Waits until `count` more pages have come, or have failed.
    async fn have_read_pages(&self, count: usize, shop: &Shop) -> anyhow::Result<()> {
        let wanted = self.pages_read.load(Ordering::Relaxed) + count;
        let read = async {
            while self.pages_read.load(Ordering::Relaxed) < wanted {
                sleep(PAUSE).await;
            }
        };
        let read = timeout(PATIENCE, read).await;
        read.with_context(|| format!("{count} pages take too long:\n{}", shop.output()))
    }

    /// Ends all of it: no page has failed, and nobody has paid twice, or for nothing.
    async fn judge(self, shop: &Shop) -> anyhow::Result<()> {
        let (pages, purchases) = self.end().await?;

        let failed: Vec<_> = pages
            .iter()
            .filter_map(|page| page.as_ref().err())
            .collect();
        ensure!(
            failed.is_empty(),
            "{} of {} pages failed: {failed:#?}",
            failed.len(),
            pages.len()
        );

        let payments = payments(shop)?;
        for purchase in &purchases {
            let paid = payments.get(&purchase.total).copied().unwrap_or(0);
            ensure!(paid <= 1, "{purchase:?} was paid {paid} times");
            ensure!(
                paid == 1 || !purchase.confirmed,
                "{purchase:?} was not paid"
            );
        }
        let confirmed = purchases
            .iter()
            .filter(|purchase| purchase.confirmed)
            .count();
        ensure!(confirmed > 0, "nobody could buy anything: {purchases:?}");
        println!(
            "{} pages, {confirmed} of {} purchases confirmed",
            pages.len(),
            purchases.len()
        );
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<(Vec<anyhow::Result<()>>, Vec<Purchase>)> {
        self.over.store(true, Ordering::Relaxed);
        let (mut pages, mut purchases) = (Vec::new(), Vec::new());
        while let Some(reader) = self.readers.join_next().await {
            pages.extend(reader??);
        }
        while let Some(buyer) = self.buyers.join_next().await {
            purchases.extend(buyer??);
        }
        Ok((pages, purchases))
    }
}

/// Looks at every kind of page that needs only idempotent calls, over and over, and reads it.
async fn read_pages(
    mut guest: Guest,
    name: &str,
    over: &AtomicBool,
    read: &AtomicUsize,
) -> anyhow::Result<Vec<anyhow::Result<()>>> {
    guest.visitor.set_cookie("shop_session-id", name);
    let mut pages = Vec::new();
    let basket = Basket::default();
    for product in CATALOGUE.iter().cycle() {
        let path = format!("/product/{}", product.id);
        let is_product = |page: &Page| page.is_product(product, &basket);
        pages.push(guest.look("/", |page| page.is_home(&basket)).await);
        pages.push(guest.look(&path, is_product).await);
        pages.push(guest.look("/cart", |page| page.is_cart(&basket)).await);
        read.fetch_add(3, Ordering::Relaxed);
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(pages)
}

/// Somebody at the shop's door.
struct Guest {
    visitor: Visitor,
    door: Door,
}

impl Guest {
    /// Gets a page as a browser does, which asks once more where the process that held the connection was
    /// killed: that is all one can do then.
    async fn look(
        &mut self,
        path: &str,
        read: impl FnOnce(&Page) -> Result<(), String>,
    ) -> anyhow::Result<()> {
        sleep(PAUSE).await;
        let came = self.door.now();
        let answer = match self.visitor.get(path).await {
            Err(error) if self.door.explains(&error, came) => self.visitor.get(path).await,
            answer => answer,
        };
        let Answer { status, body, .. } = answer.with_context(|| format!("GET {path}"))?;
        ensure!(
            status == 200,
            "GET {path}: {status}: {}",
            Page::parse(&body).into_text()
        );
        read(&Page::parse(&body)).map_err(|wrong| anyhow::anyhow!("GET {path}: {wrong}"))
    }

    /// Posts a form. `None` if the process that held the connection was killed: to ask again could do it twice.
    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Option<Answer>> {
        sleep(PAUSE).await;
        let came = self.door.now();
        match self.visitor.post(path, form).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if self.door.explains(&error, came) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("POST {path}")),
        }
    }
}

/// Buys things, each time for another sum. Adding to a cart and buying are not repeatable, so they may fail.
///
/// Of all sums there are, this buyer takes every [`BUYERS`]th, from `first`.
async fn buy(
    shop: &str,
    door: &Door,
    first: u32,
    over: &AtomicBool,
) -> anyhow::Result<Vec<Purchase>> {
    let mut purchases = Vec::new();
    for (number, basket) in baskets().into_iter().enumerate() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let number = u32::try_from(number)?;
        if number % BUYERS == first
            && let Some(confirmed) = buy_once(shop, door, number, &basket).await?
        {
            purchases.push(Purchase {
                total: in_nanos(basket.total()),
                confirmed,
            });
        }
    }
    Ok(purchases)
}

/// Baskets of which no two cost the same.
fn baskets() -> Vec<Basket> {
    let [watch, jar, mug] = ["Watch", "Bamboo Glass Jar", "Mug"].map(|name| {
        CATALOGUE
            .iter()
            .find(|product| product.name == name)
            .expect("it is sold")
    });
    let mut sums = HashSet::new();
    let mut baskets = Vec::new();
    for number in 0..1000 {
        let quantities = [1 + number / 100, 1 + number / 10 % 10, 1 + number % 10];
        let mut basket = Basket::default();
        for (product, quantity) in [watch, jar, mug].into_iter().zip(quantities) {
            basket.add(*product, quantity);
        }
        if sums.insert(in_nanos(basket.total())) {
            baskets.push(basket);
        }
    }
    baskets
}

/// Fills a new cart and buys what is in it; `None` if it could not be filled.
async fn buy_once(
    shop: &str,
    door: &Door,
    number: u32,
    basket: &Basket,
) -> anyhow::Result<Option<bool>> {
    let mut guest = Guest {
        visitor: Visitor::new(shop)?,
        door: door.clone(),
    };
    let session = format!("buyer-{number}");
    guest.visitor.set_cookie("shop_session-id", &session);
    for (product, quantity) in basket.lines() {
        let form = [
            ("product_id", product.id),
            ("quantity", &quantity.to_string()),
        ];
        let added = guest.post("/cart", &form).await?;
        if added.is_none_or(|answer| answer.status != 302) {
            return Ok(None);
        }
    }
    let form = [
        ("email", "buyer@example.com"),
        ("street_address", "1 Main Street"),
        ("zip_code", "10001"),
        ("city", "New York"),
        ("state", "NY"),
        ("country", "United States"),
        ("credit_card_number", "4432801561520454"),
        ("credit_card_expiration_month", "1"),
        ("credit_card_expiration_year", "2099"),
        ("credit_card_cvv", "672"),
    ];
    let answer = guest.post("/cart/checkout", &form).await?;
    Ok(Some(answer.is_some_and(|answer| {
        answer.status == 200 && answer.body.contains("Your order is complete!")
    })))
}

fn in_nanos(money: Money) -> i64 {
    money.units() * 1_000_000_000 + money.nanos()
}
