//! Whatever serde can describe arrives as it was.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anylith::CallError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum EchoError {
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A generic struct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Box<Page<T>>>,
}

/// An enum with a variant of each kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Shape<T> {
    Nothing,
    One(T),
    Two(T, String),
    Named { width: f32, inner: Box<Shape<T>> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(pub String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cents {
    pub amount: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point(pub f64, pub f64);

/// A struct whose fields have names of their own on the wire, and defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renamed {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub some_number: u8,
    #[serde(skip)]
    pub kept_at_home: u8,
}

#[anylith::component]
pub trait Echo {
    async fn unit(&self, it: ()) -> Result<(), EchoError>;
    async fn none(&self) -> Result<(), EchoError>;
    async fn bools(&self, it: (bool, bool)) -> Result<(bool, bool), EchoError>;
    async fn unsigned(
        &self,
        it: (u8, u16, u32, u64, usize),
    ) -> Result<(u8, u16, u32, u64, usize), EchoError>;
    async fn signed(
        &self,
        it: (i8, i16, i32, i64, isize),
    ) -> Result<(i8, i16, i32, i64, isize), EchoError>;
    async fn wide(&self, it: (i128, u128)) -> Result<(i128, u128), EchoError>;
    async fn floats(&self, it: (f32, f64)) -> Result<(f32, f64), EchoError>;
    async fn character(&self, it: char) -> Result<char, EchoError>;
    async fn string(&self, it: String) -> Result<String, EchoError>;
    async fn text(&self, it: &str) -> Result<String, EchoError>;
    async fn slice(&self, it: &[UserId]) -> Result<Vec<UserId>, EchoError>;
    async fn reference(&self, it: &Page<i32>) -> Result<Page<i32>, EchoError>;
    async fn raw(&self, it: &[u8]) -> Result<Vec<u8>, EchoError>;
    async fn bytes(&self, it: Bytes) -> Result<Bytes, EchoError>;
    async fn option(&self, it: Option<Option<u8>>) -> Result<Option<Option<u8>>, EchoError>;
    async fn nested(&self, it: Vec<Vec<Vec<u16>>>) -> Result<Vec<Vec<Vec<u16>>>, EchoError>;
    async fn ordered(
        &self,
        it: BTreeMap<String, BTreeSet<i8>>,
    ) -> Result<BTreeMap<String, BTreeSet<i8>>, EchoError>;
    async fn hashed(
        &self,
        it: HashMap<UserId, Vec<Option<f64>>>,
    ) -> Result<HashMap<UserId, Vec<Option<f64>>>, EchoError>;
    async fn queue(&self, it: VecDeque<String>) -> Result<VecDeque<String>, EchoError>;
    async fn tuple(
        &self,
        it: (u8, (String, [char; 2]), ()),
    ) -> Result<(u8, (String, [char; 2]), ()), EchoError>;
    async fn array(&self, it: [[u32; 3]; 2]) -> Result<[[u32; 3]; 2], EchoError>;
    async fn generic(&self, it: Page<Shape<u8>>) -> Result<Page<Shape<u8>>, EchoError>;
    async fn shape(&self, it: Shape<i64>) -> Result<Shape<i64>, EchoError>;
    async fn unit_struct(&self, it: Unit) -> Result<Unit, EchoError>;
    async fn newtype(&self, it: UserId) -> Result<UserId, EchoError>;
    async fn transparent(&self, it: Cents) -> Result<Cents, EchoError>;
    async fn tuple_struct(&self, it: Point) -> Result<Point, EchoError>;
    async fn renamed(&self, it: Renamed) -> Result<Renamed, EchoError>;
    async fn boxed(&self, it: Box<str>) -> Result<Box<str>, EchoError>;
    async fn shared(&self, it: Arc<Page<u8>>) -> Result<Arc<Page<u8>>, EchoError>;
    async fn cow(&self, it: Cow<'static, str>) -> Result<Cow<'static, str>, EchoError>;
    async fn non_zero(&self, it: Option<NonZeroU32>) -> Result<Option<NonZeroU32>, EchoError>;
    async fn range(&self, it: Range<i16>) -> Result<Range<i16>, EchoError>;
    async fn result(&self, it: Result<u8, String>) -> Result<Result<u8, String>, EchoError>;
    async fn duration(&self, it: Duration) -> Result<Duration, EchoError>;
    async fn time(&self, it: SystemTime) -> Result<SystemTime, EchoError>;
    async fn address(&self, it: (IpAddr, SocketAddr)) -> Result<(IpAddr, SocketAddr), EchoError>;
    async fn path_buf(&self, it: PathBuf) -> Result<PathBuf, EchoError>;
    async fn path(&self, it: &Path) -> Result<PathBuf, EchoError>;
    async fn uuid(&self, it: Uuid) -> Result<Uuid, EchoError>;
    async fn twenty(
        &self,
        a: u8,
        b: &str,
        c: i16,
        d: String,
        e: &[u8],
        f: bool,
        g: char,
        h: &UserId,
        i: Option<u8>,
        j: (),
        k: f32,
        l: &[u32],
        m: u64,
        n: Unit,
        o: Bytes,
        p: Vec<String>,
        q: i128,
        r: &Path,
        s: Duration,
        t: &u8,
    ) -> Result<String, EchoError>;
    async fn change(&self, it: Vec<u8>, page: &Page<i32>) -> Result<(Vec<u8>, usize), EchoError>;
}

#[derive(anylith::Component)]
#[component(interface = Echo)]
pub struct Cave {}

/// Methods that give back what they got.
macro_rules! gives_back {
    ($($name:ident: $written:ty,)*) => {
        $(async fn $name(&self, it: $written) -> Result<$written, EchoError> {
            Ok(it)
        })*
    };
}

impl Echo for Cave {
    gives_back! {
        unit: (),
        bools: (bool, bool),
        unsigned: (u8, u16, u32, u64, usize),
        signed: (i8, i16, i32, i64, isize),
        wide: (i128, u128),
        floats: (f32, f64),
        character: char,
        string: String,
        bytes: Bytes,
        option: Option<Option<u8>>,
        nested: Vec<Vec<Vec<u16>>>,
        ordered: BTreeMap<String, BTreeSet<i8>>,
        hashed: HashMap<UserId, Vec<Option<f64>>>,
        queue: VecDeque<String>,
        tuple: (u8, (String, [char; 2]), ()),
        array: [[u32; 3]; 2],
        generic: Page<Shape<u8>>,
        shape: Shape<i64>,
        unit_struct: Unit,
        newtype: UserId,
        transparent: Cents,
        tuple_struct: Point,
        renamed: Renamed,
        boxed: Box<str>,
        shared: Arc<Page<u8>>,
        cow: Cow<'static, str>,
        non_zero: Option<NonZeroU32>,
        range: Range<i16>,
        result: Result<u8, String>,
        duration: Duration,
        time: SystemTime,
        address: (IpAddr, SocketAddr),
        path_buf: PathBuf,
        uuid: Uuid,
    }

    async fn none(&self) -> Result<(), EchoError> {
        Ok(())
    }

    async fn text(&self, it: &str) -> Result<String, EchoError> {
        Ok(it.to_owned())
    }

    async fn slice(&self, it: &[UserId]) -> Result<Vec<UserId>, EchoError> {
        Ok(it.to_vec())
    }

    async fn reference(&self, it: &Page<i32>) -> Result<Page<i32>, EchoError> {
        Ok(it.clone())
    }

    async fn raw(&self, it: &[u8]) -> Result<Vec<u8>, EchoError> {
        Ok(it.to_vec())
    }

    async fn path(&self, it: &Path) -> Result<PathBuf, EchoError> {
        Ok(it.to_path_buf())
    }

    async fn twenty(
        &self,
        a: u8,
        b: &str,
        c: i16,
        d: String,
        e: &[u8],
        f: bool,
        g: char,
        h: &UserId,
        i: Option<u8>,
        j: (),
        k: f32,
        l: &[u32],
        m: u64,
        n: Unit,
        o: Bytes,
        p: Vec<String>,
        q: i128,
        r: &Path,
        s: Duration,
        t: &u8,
    ) -> Result<String, EchoError> {
        Ok(format!(
            "{a} {b} {c} {d} {e:?} {f} {g} {h:?} {i:?} {j:?} {k} {l:?} {m} {n:?} {o:?} {p:?} {q} {r:?} {s:?} {t}"
        ))
    }

    async fn change(&self, it: Vec<u8>, page: &Page<i32>) -> Result<(Vec<u8>, usize), EchoError> {
        let mut it = it;
        it.push(0);
        Ok((it, page.items.len()))
    }
}

anylith::app! {
    /// A component that gives back what it got.
    pub Mountain = "mountain" { Cave }
}

/// A test for each line: the value comes back from the method as it went.
macro_rules! arrives_as_it_was {
    ($($promise:ident: $method:ident($value:expr);)*) => {$(
        #[anylith::test(Mountain, topologies(direct, wire, processes, processes_tcp))]
        async fn $promise(echo: EchoClient) {
            for value in $value {
                assert_eq!(echo.$method(Clone::clone(&value)).await, Ok(value));
            }
        }
    )*};
}

/// The same for methods that take a reference.
macro_rules! arrives_by_reference {
    ($($promise:ident: $method:ident($value:expr);)*) => {$(
        #[anylith::test(Mountain, topologies(direct, wire, processes, processes_tcp))]
        async fn $promise(echo: EchoClient) {
            for value in $value {
                assert_eq!(echo.$method(&value).await.unwrap(), value);
            }
        }
    )*};
}

arrives_as_it_was! {
    a_unit_arrives: unit([(), ()]);
    bools_arrive: bools([(true, false), (false, true)]);
    unsigned_numbers_arrive: unsigned([
        (0, 0, 0, 0, 0),
        (u8::MAX, u16::MAX, u32::MAX, u64::MAX, usize::MAX),
    ]);
    signed_numbers_arrive: signed([
        (i8::MIN, i16::MIN, i32::MIN, i64::MIN, isize::MIN),
        (i8::MAX, i16::MAX, i32::MAX, i64::MAX, isize::MAX),
        (-1, -1, -1, -1, -1),
    ]);
    numbers_of_128_bits_arrive: wide([(i128::MIN, u128::MAX), (0, 0), (i128::MAX, 1)]);
    floats_arrive: floats([
        (0.1, -1e300),
        (f32::INFINITY, f64::NEG_INFINITY),
        (f32::MIN_POSITIVE, f64::EPSILON),
    ]);
    characters_arrive: character(['a', '\0', 'ß', '漢', '🦀', char::MAX]);
    strings_arrive: string([
        "plain".to_owned(),
        "Zoë\u{301} 👩‍👩‍👧 مرحبا \u{202e}".to_owned(),
        "a\0b\r\n\t".to_owned(),
    ]);
    an_empty_string_arrives: string([String::new()]);
    a_string_of_a_mebibyte_arrives: string(["é".repeat(512 * 1024)]);
    bytes_arrive: bytes([Bytes::new(), Bytes::from_static(&[0, 255, 10]), Bytes::from(vec![9; 1 << 20])]);
    options_of_options_arrive: option([None, Some(None), Some(Some(3))]);
    nested_lists_arrive: nested([vec![], vec![vec![]], vec![vec![vec![1, 2], vec![]], vec![vec![u16::MAX]]]]);
    a_long_list_arrives: nested([vec![vec![vec![7; 1 << 16]]]]);
    ordered_maps_and_sets_arrive: ordered([
        BTreeMap::new(),
        BTreeMap::from([("a".to_owned(), BTreeSet::from([-1, 1])), (String::new(), BTreeSet::new())]),
    ]);
    hash_maps_arrive: hashed([
        HashMap::new(),
        HashMap::from_iter((0..500).map(|it| (UserId(it.to_string()), vec![Some(f64::from(it)), None]))),
    ]);
    queues_arrive: queue([VecDeque::from(["x".to_owned(), String::new()])]);
    tuples_arrive: tuple([(1, ("two".to_owned(), ['3', '4']), ())]);
    arrays_arrive: array([[[1, 2, 3], [u32::MAX, 0, 5]]]);
    generic_structs_arrive: generic([Page {
        items: vec![Shape::One(1), Shape::Nothing],
        next: Some(Box::new(Page { items: vec![], next: None })),
    }]);
    enums_of_all_kinds_arrive: shape([
        Shape::Nothing,
        Shape::One(-5),
        Shape::Two(6, "six".to_owned()),
        Shape::Named { width: 1.5, inner: Box::new(Shape::Named { width: 0.0, inner: Box::new(Shape::Nothing) }) },
    ]);
    a_unit_struct_arrives: unit_struct([Unit]);
    a_newtype_arrives: newtype([UserId("zoë".to_owned())]);
    a_transparent_struct_arrives: transparent([Cents { amount: -1 }]);
    a_tuple_struct_arrives: tuple_struct([Point(0.0, -0.5)]);
    a_boxed_text_arrives: boxed([Box::from("box")]);
    a_shared_value_arrives: shared([Arc::new(Page { items: vec![1], next: None })]);
    a_cow_arrives: cow([Cow::Borrowed("moo"), Cow::Owned("moo".to_owned())]);
    a_number_that_is_not_zero_arrives: non_zero([None, NonZeroU32::new(1)]);
    a_range_arrives: range([-3..9, 0..0]);
    a_result_arrives: result([Ok(1), Err("no".to_owned())]);
    a_duration_arrives: duration([Duration::ZERO, Duration::MAX, Duration::new(1, 999_999_999)]);
    a_time_arrives: time([UNIX_EPOCH, UNIX_EPOCH + Duration::new(1_700_000_000, 7)]);
    addresses_arrive: address([
        (Ipv4Addr::LOCALHOST.into(), "[2001:db8::1]:443".parse().unwrap()),
        (Ipv6Addr::UNSPECIFIED.into(), "255.255.255.255:0".parse().unwrap()),
    ]);
    a_path_buf_arrives: path_buf([PathBuf::from("/tmp/a b/ü"), PathBuf::new()]);
    a_type_of_another_crate_arrives: uuid([Uuid::nil(), Uuid::max(), Uuid::from_u128(0x1234)]);
}

arrives_by_reference! {
    a_borrowed_text_arrives: text(["".to_owned(), "borrowed ✂".to_owned(), "x".repeat(1 << 20)]);
    a_slice_arrives: slice([vec![], vec![UserId("a".to_owned()), UserId(String::new())]]);
    a_reference_arrives: reference([Page { items: vec![1, -1], next: None }]);
    borrowed_bytes_arrive: raw([vec![], vec![0, 128, 255], vec![1; 1 << 20]]);
    a_borrowed_path_arrives: path([PathBuf::from("relative/x"), PathBuf::from("/")]);
}

#[anylith::test(Mountain)]
async fn a_method_without_arguments_is_called(echo: EchoClient) {
    assert_eq!(echo.none().await, Ok(()));
}

#[anylith::test(Mountain)]
async fn not_a_number_stays_the_same_bits(echo: EchoClient) {
    let odd = f64::from_bits(0x7ff8_0000_dead_beef);
    let (narrow, wide) = echo.floats((f32::NAN, odd)).await.unwrap();
    assert_eq!(
        (narrow.to_bits(), wide.to_bits()),
        (f32::NAN.to_bits(), odd.to_bits())
    );
}

#[anylith::test(Mountain)]
async fn a_negative_zero_keeps_its_sign(echo: EchoClient) {
    let (narrow, wide) = echo.floats((-0.0, -0.0)).await.unwrap();
    assert!(narrow.is_sign_negative() && wide.is_sign_negative());
}

#[anylith::test(Mountain)]
async fn fields_with_names_of_their_own_arrive(echo: EchoClient) {
    let value = Renamed {
        kind: "k".to_owned(),
        some_number: 9,
        kept_at_home: 0,
    };
    assert_eq!(echo.renamed(value.clone()).await, Ok(value));
}

#[anylith::test(Mountain)]
async fn twenty_arguments_arrive_in_their_places(echo: EchoClient) {
    let text = echo
        .twenty(
            1,
            "two",
            -3,
            "four".to_owned(),
            &[5],
            true,
            '7',
            &UserId("8".to_owned()),
            Some(9),
            (),
            11.0,
            &[12],
            13,
            Unit,
            Bytes::from_static(b"15"),
            vec!["16".to_owned()],
            -17,
            Path::new("18"),
            Duration::from_secs(19),
            &20,
        )
        .await
        .unwrap();
    assert_eq!(
        text,
        "1 two -3 four [5] true 7 UserId(\"8\") Some(9) () 11 [12] 13 Unit b\"15\" [\"16\"] -17 \"18\" 19s 20"
    );
}

#[anylith::test(Mountain)]
async fn a_callee_cannot_change_its_callers_values(echo: EchoClient) {
    let (list, page) = (
        vec![1, 2],
        Page {
            items: vec![1],
            next: None,
        },
    );
    let (changed, seen) = echo.change(list.clone(), &page).await.unwrap();
    assert_eq!((changed, seen), (vec![1, 2, 0], 1));
    assert_eq!((list, page.items), (vec![1, 2], vec![1]));
}
