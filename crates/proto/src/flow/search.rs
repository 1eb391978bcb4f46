//! What a hub asks the agents: `TableQuery` with a `SearchQuery`, and the filter that both queries and stores speak.

use prost::Message;
use skydive_flow::{Direction, FlowSearch, Sort, Want, field};
use skydive_value::{Filter, Ipv4Net, Path, Pattern, SmolStr, Test};

use super::{FlowError, admit};

/// Most bytes of a search: it may name some 80,000 nodes. In memory it is up to 50 times as large.
pub const FLOW_SEARCH_MAX: usize = 4 << 20;

/// The only type of a query.
const TYPE: &str = "SearchQuery";

#[derive(Clone, PartialEq, prost::Message)]
struct TableQuery {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(message, tag = "2")]
    query: Option<SearchQuery>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[expect(clippy::struct_excessive_bools, reason = "the original says sort and dedup so")]
struct SearchQuery {
    #[prost(message, tag = "1")]
    filter: Option<WireFilter>,
    #[prost(message, tag = "2")]
    range: Option<PaginationRange>,
    #[prost(bool, tag = "3")]
    sort: bool,
    #[prost(bool, tag = "4")]
    dedup: bool,
    #[prost(string, tag = "5")]
    dedup_by: String,
    #[prost(string, tag = "6")]
    sort_by: String,
    #[prost(int32, tag = "7")]
    sort_order: i32,
    /// Not in the original, which always sends packets.
    #[prost(bool, tag = "100")]
    with_packets: bool,
    /// Only how many flows there are; nor is this.
    #[prost(bool, tag = "101")]
    count: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct PaginationRange {
    #[prost(int64, tag = "1")]
    from: i64,
    #[prost(int64, tag = "2")]
    to: i64,
}

/// One of its members. Behind pointers, so that an empty filter of two bytes is not half a kilobyte.
#[derive(Clone, PartialEq, prost::Message)]
struct WireFilter {
    #[prost(message, boxed, tag = "1")]
    text: Option<Box<TextTest>>,
    #[prost(message, boxed, tag = "2")]
    int: Option<Box<IntTest>>,
    #[prost(message, boxed, tag = "3")]
    bool: Option<Box<BoolTest>>,
    #[prost(message, boxed, tag = "4")]
    gt: Option<Box<IntTest>>,
    #[prost(message, boxed, tag = "5")]
    lt: Option<Box<IntTest>>,
    #[prost(message, boxed, tag = "6")]
    gte: Option<Box<IntTest>>,
    #[prost(message, boxed, tag = "7")]
    lte: Option<Box<IntTest>>,
    #[prost(message, boxed, tag = "8")]
    all: Option<Box<BoolFilter>>,
    #[prost(message, boxed, tag = "9")]
    regex: Option<Box<TextTest>>,
    #[prost(message, boxed, tag = "10")]
    null: Option<Box<NullTest>>,
    #[prost(message, boxed, tag = "11")]
    ipv4_range: Option<Box<TextTest>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TextTest {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IntTest {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(int64, tag = "2")]
    value: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BoolTest {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bool, tag = "2")]
    value: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NullTest {
    #[prost(string, tag = "1")]
    key: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BoolFilter {
    #[prost(int32, tag = "1")]
    op: i32,
    #[prost(message, repeated, tag = "2")]
    filters: Vec<WireFilter>,
}

/// Numbers of what joins filters.
const OR: i32 = 0;
const AND: i32 = 1;
const NOT: i32 = 2;

/// Numbers of orders; every other one is descending.
const ASCENDING: i32 = 1;
const DESCENDING: i32 = 2;

/// Writes a search as a `TableQuery`. Which hosts are asked is not in it.
pub fn encode_flow_search(search: &FlowSearch) -> Vec<u8> {
    let sort = search.sort.as_ref();
    let query = SearchQuery {
        filter: (!search.filter.is_all()).then(|| (&search.filter).into()),
        range: search.range.as_ref().map(|range| PaginationRange {
            from: i64::try_from(range.start).unwrap_or(i64::MAX),
            to: i64::try_from(range.end).unwrap_or(i64::MAX),
        }),
        sort: sort.is_some(),
        dedup: search.dedup.is_some(),
        dedup_by: search.dedup.as_ref().map(ToString::to_string).unwrap_or_default(),
        sort_by: sort.map(|sort| sort.by.to_string()).unwrap_or_default(),
        with_packets: search.want == Want::WithPackets,
        count: search.want == Want::Count,
        sort_order: match sort.map(|sort| sort.direction) {
            None => 0,
            Some(Direction::Ascending) => ASCENDING,
            Some(Direction::Descending) => DESCENDING,
        },
    };
    TableQuery { kind: TYPE.into(), query: Some(query) }.encode_to_vec()
}

/// Reads a `TableQuery` of at most [`FLOW_SEARCH_MAX`] bytes. Nesting is bounded by the decoder.
pub fn decode_flow_search(bytes: &[u8]) -> Result<FlowSearch, FlowError> {
    admit("search", bytes.len(), FLOW_SEARCH_MAX)?;
    let TableQuery { kind, query } = TableQuery::decode(bytes)?;
    if kind != TYPE {
        return Err(FlowError::field("Type", &kind));
    }
    let query = query.unwrap_or_default();
    let or = |name: String, default: &str| if name.is_empty() { default.into() } else { Path::parse(&name) };
    let place = |at: i64| u64::try_from(at).unwrap_or(0);
    Ok(FlowSearch {
        hosts: None,
        filter: query.filter.map_or_else(|| Ok(Filter::all()), TryInto::try_into)?,
        range: query.range.map(|range| place(range.from)..place(range.to)),
        sort: query.sort.then(|| Sort {
            by: or(query.sort_by, field::LAST),
            direction: match query.sort_order {
                ASCENDING => Direction::Ascending,
                _ => Direction::Descending,
            },
        }),
        dedup: query.dedup.then(|| or(query.dedup_by, field::TRACKING_ID)),
        want: match (query.count, query.with_packets) {
            (true, _) => Want::Count,
            (false, true) => Want::WithPackets,
            (false, false) => Want::Flows,
        },
    })
}

impl From<&Filter> for WireFilter {
    fn from(filter: &Filter) -> Self {
        match filter {
            Filter::And(of) if of.is_empty() => Self::default(),
            Filter::And(of) => joined(AND, of),
            Filter::Or(of) => joined(OR, of),
            Filter::Not(of) => joined(NOT, of),
            Filter::Field(path, test) => of_test(path.to_string(), test),
        }
    }
}

fn joined(op: i32, of: &[Filter]) -> WireFilter {
    join(op, of.iter().map(Into::into).collect())
}

fn join(op: i32, filters: Vec<WireFilter>) -> WireFilter {
    WireFilter { all: Some(Box::new(BoolFilter { op, filters })), ..WireFilter::default() }
}

fn of_test(key: String, test: &Test) -> WireFilter {
    let none = WireFilter::default();
    let text = |value: &str| Some(Box::new(TextTest { key: key.clone(), value: value.into() }));
    let int = |value: i64| Some(Box::new(IntTest { key: key.clone(), value }));
    match test {
        Test::Text(value) => WireFilter { text: text(value), ..none },
        Test::Int(value) => WireFilter { int: int(*value), ..none },
        Test::Bool(value) => WireFilter { bool: Some(Box::new(BoolTest { key, value: *value })), ..none },
        Test::Gt(value) => WireFilter { gt: int(*value), ..none },
        Test::Gte(value) => WireFilter { gte: int(*value), ..none },
        Test::Lt(value) => WireFilter { lt: int(*value), ..none },
        Test::Lte(value) => WireFilter { lte: int(*value), ..none },
        Test::Regex(pattern) => WireFilter { regex: text(pattern.as_str()), ..none },
        Test::Ipv4Range(net) => WireFilter { ipv4_range: text(&net.to_string()), ..none },
        Test::Missing => WireFilter { null: Some(Box::new(NullTest { key })), ..none },
        Test::OneOf(values) if values.is_empty() => {
            // Nothing is one of none, and an empty filter passes all: neither there nor missing says it.
            let missing = of_test(key, &Test::Missing);
            join(AND, vec![missing.clone(), join(NOT, vec![missing])])
        }
        Test::OneOf(values) => {
            let one = |value: &SmolStr| WireFilter { text: text(value), ..WireFilter::default() };
            join(OR, values.iter().map(one).collect())
        }
    }
}

/// One of several texts of one field, if that is what these filters say: one look-up instead of many comparisons.
fn one_of(filters: &[Filter]) -> Option<Filter> {
    let [Filter::Field(path, Test::Text(_)), _, ..] = filters else { return None };
    let text = |filter: &Filter| match filter {
        Filter::Field(other, Test::Text(text)) if other == path => Some(text.clone()),
        _ => None,
    };
    let mut texts: Vec<SmolStr> = filters.iter().map(text).collect::<Option<_>>()?;
    texts.sort_unstable();
    Some(Filter::Field(path.clone(), Test::OneOf(texts)))
}

impl TryFrom<WireFilter> for Filter {
    type Error = FlowError;

    /// The first member that is there; everything passes a filter that has none.
    fn try_from(filter: WireFilter) -> Result<Self, FlowError> {
        let WireFilter { text, int, bool, gt, lt, gte, lte, all, regex, null, ipv4_range } = filter;
        let field = |key: String, test| Ok(Self::Field(Path::parse(&key), test));
        if let Some(BoolFilter { op, filters }) = all.map(|all| *all) {
            let filters: Vec<_> = filters.into_iter().map(Self::try_from).collect::<Result<_, _>>()?;
            return match op {
                OR => Ok(one_of(&filters).unwrap_or(Self::Or(filters))),
                AND => Ok(Self::And(filters)),
                NOT => Ok(Self::Not(filters)),
                other => Err(FlowError::field("Op", &other.to_string())),
            };
        }
        if let Some(TextTest { key, value }) = text.map(|test| *test) {
            return field(key, Test::Text(value.into()));
        }
        for (test, of) in [
            (int, Test::Int as fn(i64) -> Test),
            (gt, Test::Gt),
            (lt, Test::Lt),
            (gte, Test::Gte),
            (lte, Test::Lte),
        ] {
            if let Some(IntTest { key, value }) = test.map(|test| *test) {
                return field(key, of(value));
            }
        }
        if let Some(BoolTest { key, value }) = bool.map(|test| *test) {
            return field(key, Test::Bool(value));
        }
        if let Some(TextTest { key, value }) = regex.map(|test| *test) {
            let pattern = Pattern::new(&value).map_err(|_| FlowError::field("Regex", &value))?;
            return field(key, Test::Regex(pattern));
        }
        if let Some(NullTest { key }) = null.map(|test| *test) {
            return field(key, Test::Missing);
        }
        if let Some(TextTest { key, value }) = ipv4_range.map(|test| *test) {
            let net = Ipv4Net::parse(&value).map_err(|_| FlowError::field("IPV4Range", &value))?;
            return field(key, Test::Ipv4Range(net));
        }
        Ok(Self::all())
    }
}
