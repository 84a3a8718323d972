//! The rules of carts, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod postgres;

use boutique::cart::{Cart, CartConfig, CartError, CartItem, CartService, CartServiceParts};
use futures_util::future::join_all;
use postgres::Postgres;
use tempfile::TempDir;

/// A new database, which nobody else uses.
struct Database {
    url: String,
    _folder: Option<TempDir>,
}

impl Database {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("carts.db").display());
        Self {
            url,
            _folder: Some(folder),
        }
    }

    fn postgres(server: &Postgres, name: &str) -> Self {
        Self {
            url: server.create_database(name),
            _folder: None,
        }
    }

    /// The component, as one of the processes that share the database has it.
    async fn open(&self) -> CartService {
        let config = CartConfig {
            database: self.url.parse().unwrap(),
        };
        CartService::start(CartServiceParts { config })
            .await
            .unwrap()
    }
}

/// Runs each promise on a new database of either kind. A server takes longer to start than all promises take
/// together, so they share one.
macro_rules! promises {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&super::Database::sqlite()).await;
                }
            )+
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_promise_holds_on_postgres() {
            let Some(server) = Postgres::start() else { return };
            $(
                eprintln!("{}", stringify!($name));
                $name(&Database::postgres(&server, stringify!($name))).await;
            )+
        }
    };
}

promises! {
    a_cart_keeps_the_order_in_which_it_was_filled,
    a_stranger_has_an_empty_cart,
    less_than_one_is_refused,
    additions_at_the_same_time_are_never_lost,
    processes_that_start_at_the_same_time_share_the_database,
    a_cart_survives_a_restart,
    a_quantity_has_no_upper_limit_until_it_travels,
    any_text_is_a_user,
}

fn item(product: &str, quantity: i32) -> CartItem {
    CartItem {
        product_id: product.to_owned(),
        quantity,
    }
}

async fn a_cart_keeps_the_order_in_which_it_was_filled(database: &Database) {
    let cart = database.open().await;
    for (product, quantity) in [("B", 1), ("A", 2), ("C", 3), ("B", 4), ("A", 5)] {
        cart.add("ada", &item(product, quantity)).await.unwrap();
    }
    cart.add("bob", &item("C", 9)).await.unwrap();
    assert_eq!(
        cart.get("ada").await.unwrap(),
        [item("B", 5), item("A", 7), item("C", 3)]
    );

    cart.empty("ada").await.unwrap();
    cart.empty("ada").await.unwrap();
    assert_eq!(cart.get("ada").await.unwrap(), []);
    assert_eq!(cart.get("bob").await.unwrap(), [item("C", 9)]);
    cart.add("ada", &item("A", 1)).await.unwrap();
    cart.add("ada", &item("B", 1)).await.unwrap();
    assert_eq!(cart.get("ada").await.unwrap(), [item("A", 1), item("B", 1)]);
    cart.stop().await;
}

async fn a_stranger_has_an_empty_cart(database: &Database) {
    assert_eq!(database.open().await.get("nobody").await.unwrap(), []);
}

async fn less_than_one_is_refused(database: &Database) {
    let cart = database.open().await;
    for quantity in [0, -1, i32::MIN] {
        let refusal = cart.add("ada", &item("A", quantity)).await;
        assert_eq!(refusal, Err(CartError::Quantity(quantity)));
    }
    assert_eq!(cart.get("ada").await.unwrap(), []);
}

async fn additions_at_the_same_time_are_never_lost(database: &Database) {
    let processes = [
        database.open().await,
        database.open().await,
        database.open().await,
    ];
    let one = item("A", 1);
    let adds = (0..50).flat_map(|_| processes.iter().map(|cart| cart.add("ada", &one)));
    for added in join_all(adds).await {
        added.unwrap();
    }
    assert_eq!(processes[0].get("ada").await.unwrap(), [item("A", 150)]);
}

async fn processes_that_start_at_the_same_time_share_the_database(database: &Database) {
    let processes = join_all((0..8).map(|_| database.open())).await;
    for cart in &processes {
        cart.add("ada", &item("A", 1)).await.unwrap();
    }
    assert_eq!(processes[7].get("ada").await.unwrap(), [item("A", 8)]);
}

async fn a_cart_survives_a_restart(database: &Database) {
    let before = database.open().await;
    before.add("ada", &item("A", 2)).await.unwrap();
    before.stop().await;
    assert_eq!(
        database.open().await.get("ada").await.unwrap(),
        [item("A", 2)]
    );
}

async fn a_quantity_has_no_upper_limit_until_it_travels(database: &Database) {
    let cart = database.open().await;
    for _ in 0..2 {
        cart.add("ada", &item("A", i32::MAX)).await.unwrap();
    }
    assert_eq!(cart.get("ada").await.unwrap(), [item("A", i32::MAX)]);
}

async fn any_text_is_a_user(database: &Database) {
    let cart = database.open().await;
    for user in ["", "' OR 1=1 --", "ünïcødé", "a b"] {
        cart.add(user, &item("'; DROP TABLE cart_lines", 1))
            .await
            .unwrap();
        assert_eq!(cart.get(user).await.unwrap().len(), 1, "{user:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_without_its_password() {
    for (url, shown) in [
        (
            "sqlite:/no/such/folder/carts.db",
            "cannot open the carts in sqlite:/no/such/folder/carts.db",
        ),
        (
            "postgres://shop:secret@127.0.0.1:1/carts",
            "cannot open the carts in postgres://…@127.0.0.1:1/carts",
        ),
    ] {
        let config = CartConfig {
            database: url.parse().unwrap(),
        };
        let error = CartService::start(CartServiceParts { config })
            .await
            .err()
            .unwrap();
        assert_eq!(error.to_string(), shown);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
