//! Finds what exceeds the limits of an Evento, with its place.

use super::{
    EventoLimits, Fault,
    limits::{end_of_string, is_of_number},
};

/// How many faults are reported.
const MAX_FAULTS: usize = 10;

/// The longest pointer, in bytes. A longer one ends at a member that contains the fault.
const MAX_POINTER: usize = 500;

/// Returns what exceeds the limits in a text that is JSON, the first ten places.
pub(super) fn find_excesses(text: &str, limits: &EventoLimits) -> Vec<Fault> {
    let mut scan = Scan {
        text,
        at: 0,
        limits,
        path: Vec::new(),
        skipped: 0,
        faults: Vec::new(),
    };
    while scan.at < text.len() && scan.faults.len() < MAX_FAULTS {
        scan.step();
    }
    scan.faults
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    limits: &'t EventoLimits,
    /// The objects and arrays that contain the place, the outermost first, and where the place is in them.
    path: Vec<Place<'t>>,
    /// How many more levels deep the place is, in the value that is nested too deep.
    skipped: usize,
    faults: Vec<Fault>,
}

/// A place in an object or an array.
#[derive(Clone, Copy)]
enum Place<'t> {
    /// Before the name of a member.
    BeforeName,
    /// In the member with this name, as it is written, with its quotes.
    Member(&'t str),
    Element(usize),
}

impl<'t> Scan<'t> {
    fn step(&mut self) {
        match self.text.as_bytes()[self.at] {
            b'"' => self.take_string(),
            b'{' => self.open(Place::BeforeName),
            b'[' => self.open(Place::Element(0)),
            b'}' | b']' => self.close(),
            b',' => self.go_to_next(),
            b'-' | b'0'..=b'9' => self.take_number(),
            _ => self.at += 1,
        }
    }

    fn open(&mut self, place: Place<'t>) {
        self.at += 1;
        if self.skipped == 0 && self.path.len() < self.limits.max_depth as usize {
            return self.path.push(place);
        }
        if self.skipped == 0 {
            let max = self.limits.max_depth;
            self.report(format!("is nested deeper than {max} levels"));
        }
        self.skipped += 1;
    }

    fn close(&mut self) {
        self.at += 1;
        match self.skipped {
            0 => drop(self.path.pop()),
            _ => self.skipped -= 1,
        }
    }

    fn go_to_next(&mut self) {
        self.at += 1;
        if self.skipped > 0 {
            return;
        }
        match self.path.last_mut() {
            Some(Place::Element(index)) => *index += 1,
            Some(place) => *place = Place::BeforeName,
            None => {}
        }
    }

    fn take_number(&mut self) {
        let rest = self.text[self.at..].bytes();
        let length = rest.take_while(|byte| is_of_number(*byte)).count();
        self.at += length;
        let max = self.limits.max_number_length;
        if length > max as usize {
            self.report(format!(
                "is a number of {length} characters, of which at most {max} are accepted"
            ));
        }
    }

    fn take_string(&mut self) {
        let start = self.at;
        let end = end_of_string(self.text.as_bytes(), start);
        self.at = end;
        let text = &self.text[start..end];
        let is_name = self.skipped == 0 && matches!(self.path.last(), Some(Place::BeforeName));
        let lone = self
            .limits
            .refuse_lone_surrogates
            .then(|| lone_surrogate(text))
            .flatten();
        if let Some(lone) = lone {
            let what = if is_name {
                "has a member whose name has"
            } else {
                "has"
            };
            self.report(format!(
                "{what} {lone}, half of a surrogate pair, which is no character"
            ));
        }
        if is_name && let Some(place) = self.path.last_mut() {
            *place = Place::Member(text);
        }
    }

    fn report(&mut self, detail: String) {
        if self.skipped > 0 {
            // A value is reported once that contains all of this.
            return;
        }
        let pointer = pointer(&self.path).into();
        self.faults.push(Fault { pointer, detail });
    }
}

/// Returns the first escaped surrogate of a string that has no counterpart, as it is written.
fn lone_surrogate(string: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &string.as_bytes()[at..]) {
        at += found;
        let Some(unit) = escaped_unit(string, at) else {
            // Another escape, such as `\\`.
            at += 2;
            continue;
        };
        let next = escaped_unit(string, at + 6);
        match unit {
            0xd800..=0xdbff if next.is_some_and(|next| (0xdc00..=0xdfff).contains(&next)) => {
                at += 12
            }
            0xd800..=0xdfff => return string.get(at..at + 6),
            _ => at += 6,
        }
    }
    None
}

/// Returns the UTF-16 code unit that `\uXXXX` at this place stands for.
fn escaped_unit(string: &str, at: usize) -> Option<u16> {
    let digits = string.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Returns the JSON pointer (RFC 6901) of a place.
fn pointer(path: &[Place<'_>]) -> String {
    let mut pointer = String::new();
    for place in path {
        let token = match place {
            Place::BeforeName => break,
            Place::Element(index) => index.to_string(),
            Place::Member(name) => match serde_json::from_str::<String>(name) {
                Ok(name) => name.replace('~', "~0").replace('/', "~1"),
                // The name has a lone surrogate.
                Err(_) => break,
            },
        };
        if pointer.len() + token.len() >= MAX_POINTER {
            break;
        }
        pointer.push('/');
        pointer.push_str(&token);
    }
    pointer
}
