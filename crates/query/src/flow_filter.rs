//! What conditions mean to flows where a name stands for more than one field.
//!
//! `Link`, `Network` and `Transport` are either side. `HTTP` and `HTTPS` as an application are also TCP with their ports and
//! what was seen to be them, whatever name the flow was given.

use skydive_flow::field::{self, Field};
use skydive_value::{Filter, Path, SmolStr, Test};

/// The groups whose name alone means either side.
const SIDES: [(&str, [&str; 2]); 3] = [
    ("Link", [field::LINK_A, field::LINK_B]),
    ("Network", [field::NETWORK_A, field::NETWORK_B]),
    ("Transport", [field::TRANSPORT_A, field::TRANSPORT_B]),
];
/// Applications that are also known by the server's port, and by what was said.
const WEB: [(&str, i64, &str); 2] = [("HTTP", 80, field::HTTP_METHOD), ("HTTPS", 443, field::TLS_VERSION)];
const TCP: &str = "TCP";

/// A filter as flows are asked.
pub(crate) fn flow_filter(filter: Filter) -> Filter {
    match filter {
        Filter::And(of) => Filter::And(of.into_iter().map(flow_filter).collect()),
        Filter::Or(of) => Filter::Or(of.into_iter().map(flow_filter).collect()),
        Filter::Not(of) => Filter::Not(of.into_iter().map(flow_filter).collect()),
        Filter::Field(path, test) => of_field(path, test),
    }
}

fn of_field(path: Path, test: Test) -> Filter {
    let name = path.to_string();
    if test == Test::Missing {
        let of_group: Vec<Filter> = fields_of_group(&name)
            .map(|field| Filter::Field(Path::from(field.name), Test::Missing))
            .collect();
        if !of_group.is_empty() {
            // A group is there when any field of it is.
            return Filter::And(of_group);
        }
    }
    if let Some((_, [a, b])) = SIDES.iter().find(|(group, _)| *group == name) {
        let side = |field: &'static str| of_one(Path::from(field), test.clone());
        return Filter::Or(vec![side(a), side(b)]);
    }
    of_one(path, test)
}

/// The fields of a group, or of a group within one.
fn fields_of_group(name: &str) -> impl Iterator<Item = &'static Field> {
    field::FIELDS.iter().filter(move |field| {
        field.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) && !name.is_empty()
    })
}

fn of_one(path: Path, test: Test) -> Filter {
    let (mut also, is_application) = (Vec::new(), path.to_string() == field::APPLICATION);
    let texts: &[SmolStr] = match &test {
        Test::Text(text) => std::slice::from_ref(text),
        Test::OneOf(texts) => texts,
        _ => &[],
    };
    for text in texts {
        if is_application {
            also.extend(web(text));
        } else if let Ok(number) = text.parse() {
            // Ports and the like are numbers, however they are written.
            also.push(Filter::Field(path.clone(), Test::Int(number)));
        }
    }
    let own = Filter::Field(path, test);
    if also.is_empty() {
        return own;
    }
    also.insert(0, own);
    Filter::Or(also)
}

/// The server is on either side: a capture that begins within a connection may see it speak first.
fn web(application: &SmolStr) -> Option<Filter> {
    let (_, port, said) = WEB.iter().find(|(name, ..)| name == application)?;
    let is = |field: &'static str, test| Filter::Field(Path::from(field), test);
    let port_is = |field| is(field, Test::Int(*port));
    let by_port = Filter::And(vec![
        is(field::TRANSPORT_PROTOCOL, Test::Text(TCP.into())),
        Filter::Or(vec![port_is(field::TRANSPORT_B), port_is(field::TRANSPORT_A)]),
    ]);
    Some(Filter::Or(vec![by_port, Filter::present(Path::from(*said))]))
}
