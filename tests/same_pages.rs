//! One application, the same in every topology: the tour of the shop, compared byte for byte.

use e2e::{Shop, Start, Tour};
use similar::TextDiff;

async fn tour(start: Start) -> anyhow::Result<String> {
    let shop = start.start()?;
    let tour = Tour::take(&shop.url).await?;
    assert!(tour.steps() > 150, "only {} steps", tour.steps());
    assert!(shop.stop()?, "the command failed");
    Ok(tour.to_text())
}

#[tokio::test]
async fn the_shop_is_the_same_in_every_topology() -> anyhow::Result<()> {
    let monolith = tour(Shop::with().topology("monolith")).await?;
    for (name, start) in [
        (
            "monolith, 3 replicas",
            Shop::with().topology("monolith").replicas("3"),
        ),
        ("micro", Shop::with().topology("micro")),
        (
            "micro, 2 replicas each",
            Shop::with().topology("micro").replicas("2"),
        ),
        ("window", Shop::with().topology("window")),
        ("vault", Shop::with().topology("vault")),
    ] {
        let other = tour(start).await?;
        if other != monolith {
            let diff = TextDiff::from_lines(&monolith, &other);
            let diff = diff
                .unified_diff()
                .context_radius(4)
                .header("monolith", name)
                .to_string();
            panic!("the shop differs between monolith and {name}:\n{diff}");
        }
    }
    Ok(())
}
