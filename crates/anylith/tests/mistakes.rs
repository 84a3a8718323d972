//! What the compiler says to each mistake one can make. `TRYBUILD=overwrite cargo test -p anylith --test mistakes`
//! rewrites the expected messages.

#[test]
fn a_mistake_is_explained_at_the_users_own_token() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
