//! Facts about a file in order, as lines for people or as one JSON object.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// Names and values.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name, value.into()));
        self
    }

    /// Adds a list whose items are lines of their own.
    pub(super) fn list(&mut self, name: &'static str, items: impl Iterator<Item = Value>) -> &mut Self {
        self.add(name, items.collect::<Vec<_>>())
    }

    pub(super) fn append(&mut self, mut other: Self) -> &mut Self {
        self.0.append(&mut other.0);
        self
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            let label = name.replace('_', " ");
            match value {
                Value::Array(items) => {
                    text += &format!("{label}:\n");
                    items.iter().for_each(|item| text += &format!("  {}\n", plain(item)));
                }
                value => text += &format!("{label}: {}\n", plain(value)),
            }
        }
        text
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
            fields.join(", ")
        }
        other => other.to_string(),
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Sizes of many packets: how many, the extremes and the mean.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    pub(super) count: u64,
    pub(super) total: u64,
    min: u64,
    max: u64,
}

impl Sizes {
    pub(super) fn add(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.min = if self.count == 0 { bytes } else { self.min.min(bytes) };
        self.max = self.max.max(bytes);
        self.count += 1;
        self.total += bytes;
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.add("bytes_min", self.min);
        facts.add("bytes_mean", self.total / self.count.max(1));
        facts.add("bytes_max", self.max);
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_keep_their_order_in_both_forms() {
        let mut sizes = Sizes::default();
        [5, 3, 10].into_iter().for_each(|bytes| sizes.add(bytes));
        let mut facts = Facts::default();
        facts.add("what", "mjpeg").append(sizes.facts()).list("parts", ["a", "b"].into_iter().map(Value::from));
        assert_eq!(facts.text(), "what: mjpeg\nbytes min: 3\nbytes mean: 6\nbytes max: 10\nparts:\n  a\n  b\n");
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(json, r#"{"what":"mjpeg","bytes_min":3,"bytes_mean":6,"bytes_max":10,"parts":["a","b"]}"#);
    }
}
