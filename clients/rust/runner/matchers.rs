//! Compares answers with what is expected.

use std::collections::{HashMap, HashSet};

use regex::Regex;
use serde_json::{Value, json};

/// The start of a value, for messages.
pub(crate) fn short(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}

/// What lies at a path of names and indexes; `*` is every entry.
pub(crate) fn at(value: &Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(value.clone());
    }
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    match value {
        Value::Array(entries) if name == "*" => entries.iter().map(|entry| at(entry, rest)).collect(),
        Value::Array(entries) => {
            let index: i64 = name.parse().ok()?;
            let index = if index < 0 { index + entries.len() as i64 } else { index };
            at(entries.get(usize::try_from(index).ok()?)?, rest)
        }
        _ => at(value.get(name)?, rest),
    }
}

/// A number, also one that is written as a string.
fn plain_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// As a number; what is absent is 0.
fn number(value: Option<&Value>) -> f64 {
    value.map_or(0.0, |value| plain_number(value).unwrap_or(f64::NAN))
}

fn ordered(entries: &[Value], path: &str, sign: f64) -> bool {
    let numbers: Vec<f64> = entries.iter().map(|entry| sign * number(at(entry, path).as_ref())).collect();
    numbers.windows(2).all(|pair| pair[0] <= pair[1])
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn special(ids: &HashMap<String, String>, name: &str, wanted: &Value, value: Option<&Value>) -> bool {
    let empty = Vec::new();
    let entries = value.and_then(Value::as_array).unwrap_or(&empty);
    let matches = |wanted: &Value, entry: &Value| differs(ids, wanted, Some(entry), "").is_none();
    let path = wanted.as_str().unwrap_or_default();
    let limit = number(Some(wanted));
    match name {
        "$any" => value.is_some(),
        "$absent" => value.is_none(),
        "$gt" => number(value) > limit,
        "$ge" => number(value) >= limit,
        "$lt" => number(value) < limit,
        "$le" => number(value) <= limit,
        "$near" => (number(value) - number(wanted.get(0))).abs() <= number(wanted.get(1)),
        "$length" => {
            let length = match value {
                Some(Value::Array(entries)) => entries.len(),
                Some(Value::Object(fields)) => fields.len(),
                Some(Value::String(text)) => text.chars().count(),
                _ => 0,
            };
            matches(wanted, &json!(length))
        }
        "$each" => entries.iter().all(|entry| matches(wanted, entry)),
        "$some" => entries.iter().any(|entry| matches(wanted, entry)),
        "$count" => {
            let count = entries.iter().filter(|entry| matches(&wanted[0], entry)).count();
            matches(&wanted[1], &json!(count))
        }
        "$not" => differs(ids, wanted, value, "").is_some(),
        "$matches" => {
            let found = |text: &str| Regex::new(path).is_ok_and(|regex| regex.is_match(text));
            value.and_then(Value::as_str).is_some_and(found)
        }
        "$unordered" => {
            let sorted = |entries: &[Value]| {
                let mut texts: Vec<String> = entries.iter().map(text).collect();
                texts.sort_unstable();
                texts
            };
            sorted(entries) == sorted(wanted.as_array().unwrap_or(&empty))
        }
        "$ascending" => ordered(entries, path, 1.0),
        "$descending" => ordered(entries, path, -1.0),
        "$distinct" => {
            let mut seen = HashSet::new();
            entries.iter().all(|entry| seen.insert(at(entry, path).map(|value| value.to_string())))
        }
        "$image_of" => {
            let field = |name: &str| value.and_then(|value| value[name].as_str()).unwrap_or_default();
            let key = field("key");
            let picture = if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") };
            ids.get(&picture).is_some_and(|id| id == field("imageId"))
        }
        _ => false,
    }
}

/// Where a value is not as wanted; `None` where it is.
pub(crate) fn differs(
    ids: &HashMap<String, String>,
    wanted: &Value,
    value: Option<&Value>,
    place: &str,
) -> Option<String> {
    let shown = || value.map_or_else(|| "nothing".to_owned(), short);
    match wanted {
        Value::Object(fields) => {
            let (specials, plain): (Vec<_>, Vec<_>) =
                fields.iter().partition(|(name, _)| name.starts_with('$'));
            for (name, inner) in &specials {
                if !special(ids, name, inner, value) {
                    return Some(format!("{place}: {} is not {name} {}", shown(), short(inner)));
                }
            }
            if plain.is_empty() && !specials.is_empty() {
                return None;
            }
            let Some(object) = value.and_then(Value::as_object) else {
                return Some(format!("{place}: {} is no object", shown()));
            };
            plain
                .into_iter()
                .find_map(|(name, inner)| differs(ids, inner, object.get(name), &format!("{place}.{name}")))
        }
        Value::Array(expected) => {
            let empty = Vec::new();
            let entries = value.map_or(Some(&empty), Value::as_array);
            let Some(entries) = entries.filter(|entries| entries.len() == expected.len()) else {
                return Some(format!("{place}: {} has not {} entries", shown(), expected.len()));
            };
            let mut pairs = expected.iter().zip(entries).enumerate();
            pairs
                .find_map(|(at, (wanted, entry))| differs(ids, wanted, Some(entry), &format!("{place}.{at}")))
        }
        _ => {
            let same = match value {
                None => *wanted == json!("") || *wanted == json!(false) || wanted.as_f64() == Some(0.0),
                Some(value) if wanted.is_number() => plain_number(value) == wanted.as_f64(),
                Some(value) => value == wanted,
            };
            (!same).then(|| format!("{place}: {} is not {wanted}", shown()))
        }
    }
}
