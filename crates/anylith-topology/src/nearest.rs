//! The valid name that was probably meant.

/// The name out of `valid` that is nearest to `wrong`, if one is near enough to be meant.
///
/// Distance is Damerau and Levenshtein's, without regard to case unless that tells two apart; a third of the letters may differ.
pub(crate) fn nearest<'a>(wrong: &str, valid: &[&'a str]) -> Option<&'a str> {
    let typed: String = wrong.chars().take(100).collect();
    let wrong = typed.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&wrong, &name.to_lowercase());
    let in_its_case = |name: &str| strsim::damerau_levenshtein(&typed, name);
    let of = |name: &&'a str| (distance(name), in_its_case(name), *name);
    let (distance, _, name) = valid.iter().map(of).min()?;
    let allowed = (name.chars().count().max(wrong.chars().count()) / 3).max(1);
    (distance <= allowed).then_some(name)
}

/// The mend for `wrong`: the nearest of the valid names, or what they are.
///
/// `kind` is what the names are, in the plural; `otherwise` is the mend where there are none.
pub fn suggest(wrong: &str, valid: &[&str], kind: &str, otherwise: &str) -> String {
    const LISTED: usize = 12;
    if valid.is_empty() {
        return otherwise.to_owned();
    }
    if let Some(name) = nearest(wrong, valid) {
        return format!("did you mean `{name}`?");
    }
    if let [only] = valid {
        return format!("the only one is `{only}`");
    }
    let listed: Vec<String> = valid
        .iter()
        .take(LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    let listed = listed.join(", ");
    match valid.len().saturating_sub(LISTED) {
        0 => format!("the {kind} are {listed}"),
        more => format!("the {kind} are {listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_or_all_of_them() {
        let valid = ["Catalog", "Cart", "Checkout"];
        assert_eq!(
            suggest("Catlog", &valid, "components", ""),
            "did you mean `Catalog`?"
        );
        assert_eq!(
            suggest("cart", &valid, "components", ""),
            "did you mean `Cart`?"
        );
        assert_eq!(
            suggest("Zebra", &valid, "components", ""),
            "the components are `Catalog`, `Cart`, `Checkout`"
        );
        let twins = ["Front", "front"];
        for (typed, meant) in [("frnot", "front"), ("Frnot", "Front")] {
            let expected = format!("did you mean `{meant}`?");
            assert_eq!(suggest(typed, &twins, "groups", ""), expected);
        }
        assert_eq!(suggest("x", &[], "components", "add one"), "add one");
    }
}
