//! `show events`: what has happened, and with `-w` what happens (MGT 9.3).

use std::fmt::Write as _;
use std::time::Duration;

use engine::event::{Event, Reader, Seen};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Answer, Call};
use crate::event;
use crate::socket::Stream;

/// How an event is written, without its end of line.
type Format = fn(&Event) -> String;

/// Where events can be read: name, how they are written there, and what it is.
const SINKS: [(&str, Format, &str); 2] = [
    ("buf0", timed, "in-memory ring buffer, a line each"),
    ("json", event::json, "the same, as JSON"),
];

const HEAD: &str =
    "Supported events sinks are listed below. Add -w(wait), -n(new). Any key to stop\n";

/// HAProxy's `timed` format: `<1>2026-11-25T02:00:00.123Z Server ...`.
fn timed(event: &Event) -> String {
    format!(
        "<{}>{} {}",
        event.level as u8,
        event::utc(event.wall_ms),
        event.text
    )
}

/// `show events [<sink>] [-w] [-n]`.
pub(super) fn show(call: &mut Call<'_>) -> Answer {
    let Some(name) = call.arg(0) else {
        let mut out = HEAD.to_owned();
        for (name, _, what) in SINKS {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "    {name:<10} : type=buffer, 0 dropped, {what}");
        }
        return Ok(out);
    };
    let sink = SINKS.iter().find(|(sink, ..)| *sink == name);
    let (_, format, _) = sink.ok_or("No such event sink")?;
    let (mut wait, mut new) = (false, false);
    for word in &call.args[1..] {
        let flags = word.strip_prefix('-').filter(|flags| !flags.is_empty());
        for flag in flags.ok_or("unknown option")?.chars() {
            match flag {
                'w' => wait = true,
                'n' => new = true,
                _ => return Err("unknown option".into()),
            }
        }
    }
    let mut watch = Watch {
        reader: call.desk.plane.events().read(new),
        format: *format,
    };
    if wait {
        call.caller.watch = Some(watch);
        return Ok(String::new());
    }
    Ok(watch.ready())
}

/// A client that reads events as they come.
#[derive(Debug)]
pub(crate) struct Watch {
    reader: Reader,
    format: Format,
}

impl Watch {
    /// What has happened and was not read yet.
    fn ready(&mut self) -> String {
        let mut out = String::new();
        while let Some(seen) = self.reader.try_next() {
            self.write(&seen, &mut out);
        }
        out
    }

    fn write(&self, seen: &Seen, out: &mut String) {
        if seen.missed > 0 {
            let _ = writeln!(out, "# {} events were missed", seen.missed);
        }
        let _ = writeln!(out, "{}", (self.format)(&seen.event));
    }

    /// Until the client says anything, or ends; `None`: it is gone, or takes nothing.
    pub(crate) async fn run(mut self, stream: &mut dyn Stream, patience: Duration) -> Option<()> {
        let mut said = [0; 4096];
        loop {
            let text = self.ready();
            timeout(patience, stream.write_all(text.as_bytes()))
                .await
                .ok()?
                .ok()?;
            tokio::select! {
                read = stream.read(&mut said) => return read.ok().map(drop),
                seen = self.reader.next() => {
                    let mut text = String::new();
                    self.write(&seen, &mut text);
                    timeout(patience, stream.write_all(text.as_bytes())).await.ok()?.ok()?;
                }
            }
        }
    }
}
