//! An application that is started where its `anylith.toml` is not.

#![expect(missing_docs, reason = "a test has no readers of its documentation")]

use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct LetterConfig {
    #[expect(dead_code, reason = "only its absence is tested")]
    address: String,
}

#[derive(anylith::Component)]
pub struct Letter {
    #[config]
    #[expect(dead_code, reason = "only its absence is tested")]
    config: LetterConfig,
}

anylith::app! { Post = "post" { Letter } }

#[tokio::test]
async fn the_folder_in_which_settings_were_looked_for_is_named() {
    let error = Post::start().await.err().map(|error| error.to_string());
    let folder = std::env::current_dir().expect("a test has a folder");
    let told = format!("there is no anylith.toml in {}", folder.display());
    assert!(
        error
            .as_ref()
            .is_some_and(|error| error.starts_with(&told) && error.contains("`address`")),
        "{error:?}"
    );
}
