//! A headless Chromium, driven by WebDriver (W3C) over its own small HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{PATIENCE, need, wait_until};

/// What keeps a browser to itself.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
];

/// How a page is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// On a wide screen.
    Desktop,
    /// The same, where dark is preferred.
    Dark,
    /// On a narrow one, by touch.
    Phone,
}

/// A browser with one window; it ends with its value.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts it with a profile of its own.
    ///
    /// # Errors
    /// Chromium or its driver is missing, or does not start.
    pub fn start() -> Result<Self> {
        need("chromium", "chromium")?;
        need("chromedriver", "chromium-driver")?;
        let profile = TempDir::with_prefix("posthouse-browser-")?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // Of one group, so that all of it can be ended.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = driver.stdout.take().context("stdout")?;
        let mut browser = Self {
            driver,
            port: 0,
            session: String::new(),
            _profile: profile,
        };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let said = lines.find(|line| line.contains("started successfully on port"));
        let port = said.context("chromedriver does not start")?;
        let port = port
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .unwrap_or_default();
        browser.port = port.parse().with_context(|| format!("port {port}"))?;
        // What else it says is not waited for.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let flags: Vec<&str> = FLAGS.iter().copied().chain([profile.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": flags, "binary": "/usr/bin/chromium"},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.http("POST", "/session", &wanted)?;
        let id = session["sessionId"].as_str().context("no session")?;
        browser.session = id.to_owned();
        Ok(browser)
    }

    /// A request to the driver; its `value`.
    fn http(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE * 3))?;
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 0 && line != "\r\n" {
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        let mut answer: Value = serde_json::from_slice(&text)?;
        let value = answer["value"].take();
        if let Some(error) = value["error"].as_str() {
            bail!("{method} {path}: {error}: {}", value["message"]);
        }
        Ok(value)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.http("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// A command of the DevTools protocol.
    fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// Loads a page.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({"url": url})).map(drop)
    }

    /// Runs a script in the page, which `return`s a value.
    ///
    /// # Errors
    /// The script throws.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression of the page is true.
    ///
    /// # Errors
    /// It is not within [`PATIENCE`]; what the page shows is in the error.
    pub fn wait_for(&self, expression: &str) -> Result<()> {
        let script = format!("return Boolean({expression})");
        wait_until(expression, || {
            self.script(&script).is_ok_and(|value| value == true)
        })
        .with_context(|| {
            let shown = self.script("return document.body.innerText");
            shown.map_or_else(|error| error.to_string(), |shown| shown.to_string())
        })
    }

    /// Presses keys, as a keyboard does: `"\t"`, `"\n"`, letters.
    ///
    /// # Errors
    /// The page is gone.
    pub fn press(&self, keys: &str) -> Result<()> {
        let name = |key: char| match key {
            '\t' => "\u{e004}".to_owned(),
            '\n' => "\u{e007}".to_owned(),
            key => key.to_string(),
        };
        let actions = keys.chars().flat_map(|key| {
            let key = name(key);
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        });
        let actions: Vec<_> = actions.collect();
        let body = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.post("/actions", &body).map(drop)
    }

    /// Clicks where an element is.
    ///
    /// # Errors
    /// There is none, or it cannot be clicked.
    pub fn click(&self, selector: &str) -> Result<()> {
        let found = self.post(
            "/element",
            &json!({"using": "css selector", "value": selector}),
        )?;
        let id = found.as_object().and_then(|found| found.values().next());
        let id = id.and_then(Value::as_str).context("no element")?;
        self.post(&format!("/element/{id}/click"), &json!({}))
            .map(drop)
    }

    /// What the console has said since it was asked last: errors and warnings, of pages and of the network.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn console(&self) -> Result<Vec<String>> {
        let said = self.post("/se/log", &json!({"type": "browser"}))?;
        let said = said.as_array().context("no log")?.iter();
        Ok(said
            .map(|line| format!("{}: {}", line["level"], line["message"]))
            .collect())
    }

    /// Shows pages as on that device.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn see(&self, seen: Seen) -> Result<()> {
        let (width, height, mobile) = match seen {
            Seen::Desktop | Seen::Dark => (1440, 1000, false),
            Seen::Phone => (390, 844, true),
        };
        let scheme = if seen == Seen::Dark { "dark" } else { "light" };
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", &size)?;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media)
            .map(drop)
    }

    /// Lets pages run scripts, or not.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn allow_scripts(&self, allowed: bool) -> Result<()> {
        let value = json!({"value": !allowed});
        self.devtools("Emulation.setScriptExecutionDisabled", &value)
            .map(drop)
    }

    /// What can be seen, as PNG.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let path = format!("/session/{}/screenshot", self.session);
        let shown = self.http("GET", &path, &Value::Null)?;
        let text = shown.as_str().context("no picture")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
        ensure!(bytes.starts_with(b"\x89PNG"), "no PNG");
        Ok(bytes)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.http(
                "DELETE",
                &format!("/session/{}", self.session),
                &Value::Null,
            );
        }
        let group = i32::try_from(self.driver.id()).ok();
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}
