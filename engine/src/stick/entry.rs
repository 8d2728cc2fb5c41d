//! An entry: what a table stores of one key.

use std::fmt::Write as _;
use std::sync::Arc;

use config::model::{StickTable, StoreType};

use super::Remembered;
use crate::rate::Window;

/// One stored value.
#[derive(Debug, Clone)]
enum Datum {
    Number(u64),
    Rate(Window),
    Text(Option<Arc<str>>),
}

/// Why data cannot be set; the words go to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// HAProxy's words.
    #[error("Unknown data type")]
    UnknownType,
    /// Known, and not in this table.
    #[error("Data type not stored in this table")]
    NotStored,
    /// No number where one is needed.
    #[error("Require a valid integer value to store")]
    NoNumber,
}

/// What is stored for a key.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// When it was last used.
    pub(super) touched: u64,
    /// Sessions that count in it.
    pub(super) in_use: u32,
    /// Tells entries apart in dumps.
    pub(super) serial: u64,
    data: Box<[Datum]>,
}

impl Entry {
    pub(super) fn new(spec: &StickTable, serial: u64) -> Self {
        let datum = |stored: &StoreType| match (stored.name, stored.period) {
            ("server_key", _) => Datum::Text(None),
            (_, Some(_)) => Datum::Rate(Window::default()),
            _ => Datum::Number(0),
        };
        Self {
            touched: 0,
            in_use: 0,
            serial,
            data: spec.store.iter().map(datum).collect(),
        }
    }

    pub(super) fn remembered(&self, spec: &StickTable) -> Remembered {
        let mut found = Remembered {
            server_id: None,
            server_key: None,
        };
        for (stored, datum) in spec.store.iter().zip(&self.data) {
            match (stored.name, datum) {
                ("server_id", Datum::Number(id @ 1..)) => found.server_id = u32::try_from(*id).ok(),
                ("server_key", Datum::Text(Some(text))) => {
                    found.server_key = Some(Arc::clone(text))
                }
                _ => {}
            }
        }
        found
    }

    pub(super) fn set_server(&mut self, spec: &StickTable, id: u32, key: &str) {
        for (stored, datum) in spec.store.iter().zip(&mut self.data) {
            match (stored.name, datum) {
                ("server_id", Datum::Number(place)) => *place = id.into(),
                ("server_key", Datum::Text(place)) if place.as_deref() != Some(key) => {
                    *place = Some(key.into());
                }
                _ => {}
            }
        }
    }

    /// Sets one value by its name, as `data.<name>`.
    pub(super) fn set(
        &mut self,
        spec: &StickTable,
        name: &str,
        value: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let place = position(spec, name)?;
        let number = || value.parse::<u64>().map_err(|_| StoreError::NoNumber);
        let forget_key = name == "server_id";
        match &mut self.data[place] {
            Datum::Number(place) => *place = number()?,
            Datum::Rate(window) => window.set(u32::try_from(number()?).unwrap_or(u32::MAX), now),
            Datum::Text(place) => *place = Some(value.into()),
        }
        // The name is looked at first: an older one would overrule the id that was just set.
        if forget_key {
            for datum in &mut self.data {
                if let Datum::Text(text) = datum {
                    *text = None;
                }
            }
        }
        Ok(())
    }

    /// A value as a number, for filters.
    pub(super) fn number(
        &self,
        spec: &StickTable,
        name: &str,
        now: u64,
    ) -> Result<u64, StoreError> {
        let place = position(spec, name)?;
        Ok(match &self.data[place] {
            Datum::Number(number) => *number,
            Datum::Rate(window) => window.get(period(&spec.store[place]), now).into(),
            Datum::Text(_) => 0,
        })
    }

    /// ` server_id=1 gpc0=0 ... server_key=mail1`.
    pub(super) fn write(&self, spec: &StickTable, now: u64, out: &mut String) {
        for (stored, datum) in spec.store.iter().zip(&self.data) {
            let name = stored.name;
            let _ = match datum {
                Datum::Number(number) => write!(out, " {name}={number}"),
                Datum::Rate(window) => {
                    let period = period(stored);
                    write!(out, " {name}({period})={}", window.get(period, now))
                }
                Datum::Text(text) => write!(out, " {name}={}", text.as_deref().unwrap_or("-")),
            };
        }
    }
}

fn period(stored: &StoreType) -> u64 {
    stored.period.map_or(1, |period| period.as_millis() as u64)
}

/// Where a table stores a type. Names of types that no table has are unknown.
pub(super) fn position(spec: &StickTable, name: &str) -> Result<usize, StoreError> {
    const KNOWN: [&str; 8] = [
        "server_id",
        "server_key",
        "gpt",
        "gpc",
        "conn_",
        "sess_",
        "http_",
        "bytes_",
    ];
    spec.store
        .iter()
        .position(|stored| stored.name == name)
        .ok_or_else(|| {
            let known = KNOWN.iter().any(|prefix| name.starts_with(prefix));
            if known {
                StoreError::NotStored
            } else {
                StoreError::UnknownType
            }
        })
}
