//! What lies under `stats uri`: the page, its live stream, and HAProxy's `;csv`, `;json`, `;typed` and POST (CFG 4.2
//! `stats ...`, MGT 9.1).

use std::rc::Rc;
use std::time::Duration;

use config::model::{Level, StatsPage};
use engine::backend::Backend;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION, REFRESH, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::body::Body;
use super::form::Form;
use super::live::{Scope, sees};
use super::page::{self, Look};
use super::{Reply, Visit, guard, plain, text, unavailable};
use crate::command::{self, Caller};
use crate::stat;

/// A form may be that long.
const LONGEST: usize = 16 * 1024;
/// How long a form may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// `show stat` in one of its forms.
type Writer = fn(&[stat::Row]) -> String;

impl Visit {
    /// `rest` is what follows the page's address, `admin` whether its servers may be changed.
    pub(super) async fn statistics(
        &self,
        conf: &StatsPage,
        request: Request<Incoming>,
        rest: &str,
        admin: bool,
    ) -> Reply {
        match *request.method() {
            Method::GET | Method::HEAD => self.told(conf, rest, admin),
            Method::POST => self.posted(conf, request, admin).await,
            _ => unavailable(),
        }
    }

    fn told(&self, conf: &StatsPage, rest: &str, admin: bool) -> Reply {
        let flags: Vec<&str> = rest.split([';', '?', '&']).collect();
        let has = |flag: &str| rest.split(';').skip(1).any(|word| word == flag);
        let value = |name: &str| {
            let mut pairs = flags.iter().filter_map(|word| word.split_once('='));
            pairs
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value)
        };
        let scope = self.scope(conf, value("scope").unwrap_or_default());
        let house = &self.house;
        if has("live") {
            return self.stream(scope);
        }
        if has("data") {
            return text("application/json", house.live.data(&scope));
        }
        let look = Look {
            conf,
            scope: &scope,
            up: has("up"),
            no_maint: has("no-maint"),
            refresh: conf.refresh.filter(|_| !has("norefresh")),
            admin,
            result: value("st"),
            asked: rest,
        };
        let format: Option<(&str, Writer)> = match () {
            () if has("csv") => Some(("text/plain", stat::csv)),
            () if has("json") => Some(("application/json", stat::json)),
            () if has("typed") => Some(("text/plain", |rows| stat::typed(rows, false))),
            () => None,
        };
        let mut reply = match format {
            Some((kind, write)) => text(kind, write(&self.rows(&look))),
            None if has("json-schema") => text("application/json", command::schema()),
            None => return self.page(&look),
        };
        if let Some(refresh) = look.refresh {
            reply
                .headers_mut()
                .insert(REFRESH, HeaderValue::from(refresh.as_secs()));
        }
        reply
    }

    /// The rows of `;csv` and its kin.
    fn rows(&self, look: &Look<'_>) -> Vec<stat::Row> {
        let selection = stat::Selection {
            proxy: None,
            kinds: -1,
            server: -1,
            no_maint: look.no_maint,
            up: look.up,
        };
        let plane = &self.house.desk.plane;
        let mut rows = stat::rows(plane, &selection, look.conf.show_legends).unwrap_or_default();
        rows.retain(|row| sees(look.scope, row.place.0));
        rows
    }

    fn page(&self, look: &Look<'_>) -> Reply {
        let nonce = guard::secret().unwrap_or_default();
        let html = page::html(&self.house, look, &nonce);
        let mut reply = text("text/html; charset=utf-8", html);
        guard::protect(reply.headers_mut(), &nonce);
        reply
    }

    /// The proxies that are shown: those of `stats scope`, and of them those whose name has what was asked for.
    fn scope(&self, conf: &StatsPage, asked: &str) -> Scope {
        if conf.scope.is_empty() && asked.is_empty() {
            return None;
        }
        let own = self.proxy.name();
        let proxies = self.house.desk.plane.topology().proxies.iter();
        let shown = proxies.map(|proxy| {
            let name = proxy.name();
            let meant = |word: &String| *word == **name || word == "." && name == own;
            (conf.scope.is_empty() || conf.scope.iter().any(meant)) && name.contains(asked)
        });
        Some(shown.collect())
    }

    fn stream(&self, scope: Scope) -> Reply {
        let Some(parts) = self.house.live.watch(scope, &self.stream.leave) else {
            let mut reply = plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "503 Service Unavailable: as many as may are watching\n",
            );
            reply
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("10"));
            return reply;
        };
        self.stream.begun.set(true);
        let mut reply = text("text/event-stream", String::new());
        *reply.body_mut() = Body::Stream {
            parts,
            session: Rc::clone(&self.session),
        };
        reply
    }

    async fn posted(&self, conf: &StatsPage, request: Request<Incoming>, admin: bool) -> Reply {
        let (parts, body) = request.into_parts();
        let body = timeout(PATIENCE, Limited::new(body, LONGEST).collect()).await;
        let result = match body {
            _ if !admin => "DENY",
            Ok(Ok(body)) => {
                let bytes = body.to_bytes();
                let form = Form::parse(&String::from_utf8_lossy(&bytes));
                let token = self.house.token.as_deref();
                if !guard::permits(&parts.headers, form.token.as_deref(), token) {
                    return plain(
                        StatusCode::FORBIDDEN,
                        "403 Forbidden: this form is not of this page, or the page is older than the process; load it again\n",
                    );
                }
                self.act(conf, &form).await
            }
            Ok(Err(_)) | Err(_) => "EXCD",
        };
        // Our own script asks for the word alone.
        if header(&parts.headers, &ACCEPT) == Some("text/plain") {
            return text("text/plain", result.to_owned());
        }
        let mut reply = Response::new(Body::whole(String::new()));
        *reply.status_mut() = StatusCode::SEE_OTHER;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if let Ok(location) = HeaderValue::from_str(&format!("{};st={result}", conf.uri)) {
            headers.insert(LOCATION, location);
        }
        reply
    }

    /// Does what a form asks for; the word HAProxy has for how it went.
    async fn act(&self, conf: &StatsPage, form: &Form) -> &'static str {
        let (Some(backend), Some(_), false) =
            (&form.backend, &form.action, form.servers.is_empty())
        else {
            return "NONE";
        };
        let desk = &self.house.desk;
        let scope = self.scope(conf, "");
        let found = desk.plane.topology().find(backend);
        let found = found.filter(|proxy| proxy.back.is_some() && sees(&scope, proxy.index));
        let (Some(proxy), Some(command)) = (found, form.command()) else {
            return "ERRP";
        };
        let mut done = 0;
        for server in &form.servers {
            let servers = proxy.back.as_ref().map(Backend::servers);
            let known = servers.iter().flat_map(|servers| servers.iter());
            let known = known.into_iter().any(|known| **known.name() == **server);
            if !known {
                continue;
            }
            let command = command.replace("{}", &format!("{}/{server}", proxy.name()));
            let mut caller = Caller::new(Level::Admin, PATIENCE);
            let said = command::answer(desk, &mut caller, &command).await;
            done += usize::from(said.is_some_and(|said| said.trim().is_empty()));
        }
        match done {
            0 => "ERRP",
            all if all == form.servers.len() => "DONE",
            _ => "PART",
        }
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &hyper::header::HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
