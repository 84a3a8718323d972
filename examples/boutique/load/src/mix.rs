//! What shoppers do, how often, and what they type.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

/// One thing that a shopper comes to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Look at the home page.
    Index,
    /// Choose a currency.
    SetCurrency,
    /// Look at a product.
    Browse,
    /// Look at a product and put some of it into the cart.
    AddToCart,
    /// Look at the cart.
    ViewCart,
    /// Put a product into the cart, and buy what is in it.
    Checkout,
}

impl Task {
    /// Every task, and how often it comes among 19.
    pub const WEIGHTS: [(Self, u32); 6] = [
        (Self::Index, 1),
        (Self::SetCurrency, 2),
        (Self::Browse, 10),
        (Self::AddToCart, 2),
        (Self::ViewCart, 3),
        (Self::Checkout, 1),
    ];

    /// Draws the next one.
    pub fn draw(rng: &mut Rng) -> Self {
        let sum = Self::WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = rng.u32(0..sum);
        for (task, weight) in Self::WEIGHTS {
            if drawn < weight {
                return task;
            }
            drawn -= weight;
        }
        unreachable!("what was drawn is less than the sum of all weights")
    }
}

/// Draws how long a shopper thinks before the next task: 1 to 10 seconds, each as likely.
pub fn think(rng: &mut Rng) -> Duration {
    Duration::from_secs_f64(1.0 + rng.f64() * 9.0)
}

/// A card as a shopper types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// 16 digits that begin with 4, and whose check digit is right.
    pub number: String,
    /// 100 to 999.
    pub cvv: u16,
    /// 1 to 12.
    pub month: u8,
    /// Next year or one of the 70 after that.
    pub year: u16,
}

/// How numbers of Visa Electron begin. The shop takes no such cards.
const ELECTRON: [&str; 6] = ["4026", "417500", "4508", "4844", "4913", "4917"];

impl Card {
    fn draw(rng: &mut Rng) -> Self {
        let mut number = String::from("4");
        number.extend((0..14).map(|_| char::from(b'0' + rng.u8(0..10))));
        number.push(check_digit(&number));
        Self {
            number,
            cvv: rng.u16(100..=999),
            month: rng.u8(1..=12),
            year: this_year() + rng.u16(1..=71),
        }
    }

    /// Whether the shop has to refuse it. About one drawn card in 200 is one of Visa Electron.
    pub fn is_refused(&self) -> bool {
        ELECTRON.iter().any(|begin| self.number.starts_with(begin))
    }
}

/// The digit that makes `digits` a valid card number (ISO/IEC 7812-1, the Luhn formula).
fn check_digit(digits: &str) -> char {
    let sum: u8 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (digit - b'0', index % 2) {
            (digit @ 5.., 0) => 2 * digit - 9,
            (digit, 0) => 2 * digit,
            (digit, _) => digit,
        })
        .fold(0, |sum, digit| (sum + digit) % 10);
    char::from(b'0' + (10 - sum) % 10)
}

fn this_year() -> u16 {
    /// The mean length of a year of the Gregorian calendar, in seconds.
    const YEAR: u64 = 31_556_952;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    1970 + (now.as_secs() / YEAR) as u16
}

/// Everything that a shopper types to buy what is in the cart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the fields of the page")]
pub struct OrderForm {
    pub email: String,
    pub street_address: String,
    pub zip_code: String,
    pub city: String,
    pub state: String,
    pub country: String,
    pub card: Card,
}

impl OrderForm {
    /// Draws a form that the shop accepts, but for [`Card::is_refused`].
    pub fn draw(rng: &mut Rng) -> Self {
        const FIRST: [&str; 8] = [
            "ada", "bela", "chen", "dora", "emre", "fatou", "gil", "hana",
        ];
        const LAST: [&str; 6] = ["king", "mori", "novak", "okoye", "silva", "weiss"];
        const STREET: [&str; 6] = ["Station", "Mill", "Harbour", "Church", "Garden", "Bridge"];
        const KIND: [&str; 4] = ["Street", "Road", "Lane", "Avenue"];
        const CITY: [&str; 6] = [
            "Springfield",
            "Lund",
            "New Ulm",
            "Porto",
            "Saint-Étienne",
            "Kobe",
        ];
        const COUNTRY: [&str; 5] = ["United States", "Sweden", "Portugal", "France", "Japan"];
        const DOMAIN: [&str; 3] = ["com", "net", "org"];
        let [first, last, domain] = [pick(rng, &FIRST), pick(rng, &LAST), pick(rng, &DOMAIN)];
        Self {
            email: format!("{first}.{last}{}@example.{domain}", rng.u16(1..1000)),
            street_address: format!(
                "{} {} {}",
                rng.u16(1..10_000),
                pick(rng, &STREET),
                pick(rng, &KIND)
            ),
            zip_code: format!("{:05}", rng.u32(1..100_000)),
            city: pick(rng, &CITY).to_owned(),
            state: (0..2).map(|_| rng.uppercase()).collect(),
            country: pick(rng, &COUNTRY).to_owned(),
            card: Card::draw(rng),
        }
    }

    /// The fields, under the names that the shop's form gives them.
    pub fn fields(&self) -> [(&'static str, String); 10] {
        [
            ("email", self.email.clone()),
            ("street_address", self.street_address.clone()),
            ("zip_code", self.zip_code.clone()),
            ("city", self.city.clone()),
            ("state", self.state.clone()),
            ("country", self.country.clone()),
            ("credit_card_number", self.card.number.clone()),
            ("credit_card_expiration_month", self.card.month.to_string()),
            ("credit_card_expiration_year", self.card.year.to_string()),
            ("credit_card_cvv", self.card.cvv.to_string()),
        ]
    }
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(0..from.len())]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn tasks_come_as_often_as_their_weights_say() {
        const DRAWS: u32 = 1_000_000;
        let mut rng = Rng::with_seed(1);
        let mut counts = HashMap::<Task, u32>::new();
        for _ in 0..DRAWS {
            *counts.entry(Task::draw(&mut rng)).or_default() += 1;
        }
        for (task, weight) in Task::WEIGHTS {
            let wanted = f64::from(weight) / 19.0;
            let got = f64::from(counts[&task]) / f64::from(DRAWS);
            // Six standard deviations of a fair draw.
            let tolerance = 6.0 * (wanted * (1.0 - wanted) / f64::from(DRAWS)).sqrt();
            assert!(
                (got - wanted).abs() < tolerance,
                "{task:?}: {got}, wanted {wanted}"
            );
        }
    }

    #[test]
    fn shoppers_think_five_and_a_half_seconds_in_the_mean() {
        let mut rng = Rng::with_seed(2);
        let waits: Vec<_> = (0..100_000)
            .map(|_| think(&mut rng).as_secs_f64())
            .collect();
        assert!(waits.iter().all(|wait| (1.0..=10.0).contains(wait)));
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        assert!((mean - 5.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn one_card_in_two_hundred_is_refused() {
        const DRAWS: usize = 200_000;
        let mut rng = Rng::with_seed(3);
        let refused = (0..DRAWS)
            .filter(|_| Card::draw(&mut rng).is_refused())
            .count();
        let share = refused as f64 / DRAWS as f64;
        assert!((0.0045..0.0056).contains(&share), "{share}");
    }

    #[test]
    fn check_digits_are_those_of_known_numbers() {
        for number in ["4432801561520454", "4111111111111111", "4012888888881881"] {
            let (digits, check) = number.split_at(15);
            assert_eq!(check_digit(digits).to_string(), check, "{number}");
        }
    }

    #[test]
    fn the_same_seed_types_the_same() {
        let draw = || OrderForm::draw(&mut Rng::with_seed(4));
        assert_eq!(draw(), draw());
    }

    #[test]
    fn a_form_is_one_that_the_shop_accepts() {
        let mut rng = Rng::with_seed(5);
        for _ in 0..1000 {
            let form = OrderForm::draw(&mut rng);
            assert_eq!(form.card.number.len(), 16);
            assert_eq!(form.zip_code.len(), 5);
            assert_eq!(form.state.len(), 2);
            assert!(form.zip_code.parse::<u32>().unwrap() > 0);
            assert!((1..=71).contains(&(form.card.year - this_year())));
        }
    }
}
