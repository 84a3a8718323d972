//! The carts in an SQL database: SQLite in a file, or PostgreSQL.
//!
//! Both understand the same statements; they differ in how the table is made. Every change is one
//! statement, so any number of processes can share a database without losing an addition.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use sqlx::{
    AnyConnection, AnyPool, ConnectOptions as _, Executor as _, Row as _,
    any::{AnyConnectOptions, AnyPoolOptions, AnyRow},
};

use super::CartItem;

/// How long a statement waits for other processes to finish writing, and a call for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The key of the lock under which PostgreSQL makes the table: the bytes of `carts`.
const TABLE_LOCK: i64 = 0x63_61_72_74_73;

const ADD: &str = "INSERT INTO cart_lines (user_id, product_id, quantity) VALUES ($1, $2, $3) \
    ON CONFLICT (user_id, product_id) DO UPDATE SET quantity = cart_lines.quantity + excluded.quantity";
const LINES: &str = "SELECT product_id, quantity FROM cart_lines WHERE user_id = $1 ORDER BY line";
const EMPTY: &str = "DELETE FROM cart_lines WHERE user_id = $1";

/// Where the carts are kept: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
///
/// It is shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self {
            url: "sqlite:carts.db".to_owned(),
            kind: Kind::Sqlite,
        }
    }
}

/// The text does not say where a database is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a database of the shop: write `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`"
)]
pub struct InvalidDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        let kind = match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Kind::Sqlite,
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Kind::Postgres,
            _ => return Err(InvalidDatabaseUrl),
        };
        Ok(Self {
            url: url.to_owned(),
            kind,
        })
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What follows the `?` can hold a password as well.
        let url = self.url.split('?').next().unwrap_or_default();
        match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://…@{host}"),
            _ => f.write_str(url),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl DatabaseUrl {
    fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        let makes_the_file = self.kind == Kind::Postgres || self.url.contains("mode=");
        let suffix = match (makes_the_file, self.url.contains('?')) {
            (true, _) => "",
            (false, true) => "&mode=rwc",
            (false, false) => "?mode=rwc",
        };
        let options: AnyConnectOptions = format!("{}{suffix}", self.url).parse()?;
        Ok(options.disable_statement_logging())
    }
}

/// The carts could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the carts in {database}")]
pub struct OpenError {
    database: DatabaseUrl,
    source: sqlx::Error,
}

/// A pool of connections to the database.
#[derive(Debug)]
pub(super) struct Database {
    pool: AnyPool,
}

impl Database {
    /// Connects, and makes the table if there is none.
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let open = async {
            let pool = pool_options(url.kind).connect_lazy_with(url.options()?);
            prepare(&pool, url.kind).await?;
            Ok(Self { pool })
        };
        open.await.map_err(|source| OpenError {
            database: url.clone(),
            source,
        })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Adds to the line of the same product, or adds a line.
    pub(super) async fn add(&self, user_id: &str, item: &CartItem) -> Result<(), sqlx::Error> {
        let add = sqlx::query(ADD)
            .bind(user_id)
            .bind(&item.product_id)
            .bind(i64::from(item.quantity));
        add.execute(&self.pool).await?;
        Ok(())
    }

    /// The lines of one cart, oldest first.
    pub(super) async fn lines(&self, user_id: &str) -> Result<Vec<CartItem>, sqlx::Error> {
        let rows = sqlx::query(LINES)
            .bind(user_id)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(line).collect()
    }

    /// Removes every line of one cart.
    pub(super) async fn empty(&self, user_id: &str) -> Result<(), sqlx::Error> {
        sqlx::query(EMPTY).bind(user_id).execute(&self.pool).await?;
        Ok(())
    }
}

fn line(row: &AnyRow) -> Result<CartItem, sqlx::Error> {
    let quantity: i64 = row.try_get(1)?;
    // A cart has no upper limit, a quantity on the wire does.
    let quantity = i32::try_from(quantity).unwrap_or(i32::MAX);
    Ok(CartItem {
        product_id: row.try_get(0)?,
        quantity,
    })
}

/// SQLite lets one connection write at a time, so more than a few would only wait for each other.
fn pool_options(kind: Kind) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().acquire_timeout(PATIENCE);
    match kind {
        Kind::Postgres => options.max_connections(10),
        Kind::Sqlite => options.max_connections(4).after_connect(|connection, _| {
            Box::pin(async move {
                // With the write-ahead log, NORMAL can lose the last additions when the machine loses
                // power, but not when a process dies, and never the database.
                connection.execute("PRAGMA busy_timeout = 5000").await?;
                connection.execute("PRAGMA synchronous = NORMAL").await?;
                Ok(())
            })
        }),
    }
}

/// Makes the table, while other processes may be doing the same.
async fn prepare(pool: &AnyPool, kind: Kind) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let begin = Instant::now();
    loop {
        let made = match kind {
            Kind::Sqlite => make_in_sqlite(&mut connection).await,
            Kind::Postgres => make_in_postgres(&mut connection).await,
        };
        match made {
            // The switch to the write-ahead log does not wait for others: whoever comes second is
            // told at once that the database is locked.
            Err(error) if is_locked(&error) && begin.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            made => return made,
        }
    }
}

async fn make_in_sqlite(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    // Readers and the writer do not block each other. The file remembers this.
    connection.execute("PRAGMA journal_mode = WAL").await?;
    let table = "CREATE TABLE IF NOT EXISTS cart_lines (\
        line INTEGER PRIMARY KEY AUTOINCREMENT, \
        user_id TEXT NOT NULL, \
        product_id TEXT NOT NULL, \
        quantity INTEGER NOT NULL, \
        UNIQUE (user_id, product_id))";
    connection.execute(table).await?;
    Ok(())
}

async fn make_in_postgres(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    // `IF NOT EXISTS` alone fails for one of two that make the table at the same time.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TABLE_LOCK)
        .execute(&mut *connection)
        .await?;
    let table = "CREATE TABLE IF NOT EXISTS cart_lines (\
        line BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, \
        user_id TEXT NOT NULL, \
        product_id TEXT NOT NULL, \
        quantity BIGINT NOT NULL, \
        UNIQUE (user_id, product_id))";
    let made = connection.execute(table).await;
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(TABLE_LOCK)
        .execute(&mut *connection)
        .await?;
    made.map(|_| ())
}

/// Whether SQLite says that another connection is in the way (`SQLITE_BUSY` and its relatives).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    // The low byte is the error, the rest says more about it: <https://sqlite.org/rescode.html>.
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("sqlite:carts.db", "sqlite:carts.db"),
            ("sqlite:/tmp/a b.db?mode=ro", "sqlite:/tmp/a b.db"),
            (
                "postgres://shop:secret@db:5432/carts",
                "postgres://…@db:5432/carts",
            ),
            (
                "postgres://shop:p@ss@db/carts?password=secret",
                "postgres://…@db/carts",
            ),
            (
                "postgresql:///carts?host=/run/postgresql",
                "postgresql:///carts",
            ),
        ] {
            let url: DatabaseUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn what_names_no_database_is_refused() {
        for bad in [
            "",
            "carts.db",
            "sqlite:",
            "postgres:carts",
            "redis://localhost",
            "mysql://a/b",
        ] {
            assert_eq!(bad.parse::<DatabaseUrl>(), Err(InvalidDatabaseUrl), "{bad}");
        }
    }
}
