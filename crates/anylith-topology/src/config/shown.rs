//! A config as people may see it: without what is, or might be, a secret.
//!
//! It hides rather too much than too little: what is taken from elsewhere, what the environment has put in the place of
//! what was written, what goes by the name of a secret, and the password of an address.

use serde_json::{Map, Value as Json};

use super::{HIDDEN, reference};
use crate::{
    source::At,
    tree::{Item, Table, Value},
};

/// Parts of names of what people keep to themselves, in small letters.
const SECRET_NAMES: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
];

/// `table` as people may see it.
pub(super) fn table(table: &Table) -> Json {
    let entries = table.entries.iter();
    let shown = entries.map(|entry| {
        let value = match is_secret_name(&entry.key) {
            true => hidden(),
            false => item(&entry.item),
        };
        (entry.key.clone(), value)
    });
    Json::Object(shown.collect::<Map<_, _>>())
}

fn item(item: &Item) -> Json {
    // The environment is where people keep secrets. What is typed as a flag is there to be seen.
    let from_environment = matches!(&item.at, At::Given(label) if !label.starts_with("--"));
    match &item.value {
        Value::Table(inner) if reference(inner).is_some() => hidden(),
        Value::Table(inner) => table(inner),
        Value::List(items) => items.iter().map(self::item).collect(),
        Value::Text(_) | Value::Number(_) | Value::Bool(_) if from_environment => hidden(),
        Value::Text(text) => Json::String(without_password(text)),
        Value::Number(number) => Json::Number(number.clone()),
        Value::Bool(value) => Json::Bool(*value),
    }
}

fn hidden() -> Json {
    Json::String(HIDDEN.to_owned())
}

fn is_secret_name(key: &str) -> bool {
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
    let key = key.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|name| key.contains(name))
}

/// `postgres://shop:[secret]@db/carts`: an address without the password in it.
fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (user_info, _) = authority.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        let rest = &rest[user_info.len()..];
        Some(format!("{scheme}://{user}:{HIDDEN}{rest}"))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Overrides, Settings, Unread};

    fn shown(text: &str, overrides: &Overrides) -> serde_json::Value {
        let settings =
            Settings::parse("anylith.toml", text, overrides, &Unread).expect("it is right");
        settings.config_for_people("Cart").expect("it is there")
    }

    #[test]
    fn secrets_are_hidden_wherever_they_come_from() {
        let text = r#"
            [components.Cart]
            database = "postgres://shop:hunter2@db:5432/carts"
            card_key = { env = "CARD_KEY" }
            api_token = "abc"
            pin = 1
            shelves = [{ name = "left", "Pass-Word" = "x" }]
        "#;
        let variables = [(
            "ANYLITH__components__Cart__pin".to_owned(),
            "4711".to_owned(),
        )];
        let overrides = Overrides::default().env(variables);
        assert_eq!(
            shown(text, &overrides),
            json!({
                "database": "postgres://shop:[secret]@db:5432/carts",
                "card_key": "[secret]",
                "api_token": "[secret]",
                "pin": "[secret]",
                "shelves": [{"name": "left", "Pass-Word": "[secret]"}],
            })
        );
    }

    #[test]
    fn what_is_no_secret_is_shown_as_it_is() {
        let text = r#"
            [components.Cart]
            database = "sqlite:carts.db"
            link = "https://host/a:b@c"
            key_columns = ["id"]
            limit = 12
        "#;
        let overrides = Overrides::default().set("components.Cart.limit=13");
        assert_eq!(
            shown(text, &overrides),
            json!({
                "database": "sqlite:carts.db",
                "link": "https://host/a:b@c",
                "key_columns": ["id"],
                "limit": 13,
            })
        );
    }
}
