//! Handing a mail over: mailers are tried in turn, those that failed lately last. What is said is decided in
//! `wire::smtp::Submission`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use config::model::{Mailer, Mailers, Secrecy};
use engine::call::words;
use engine::{Call, Plane};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use wire::smtp::{Mail, Manner, Next, Submission};

use super::dial::dial;
use super::outlet::{Outlet, Sender};
use super::queue::Refused;

/// For how long a mailer that failed is asked after the others.
const GRUDGE: Duration = Duration::from_secs(60);
/// How long a mailer may take to answer QUIT.
const FAREWELL: Duration = Duration::from_millis(500);

/// The ways to the mailers that any `email-alert` names, by the index of their section.
pub(super) fn outlets(plane: &Rc<Plane>) -> BTreeMap<usize, Rc<Sender<Mail>>> {
    let model = &plane.topology().model;
    let named = model.proxies.iter().filter(|proxy| !proxy.disabled);
    let named = named.filter_map(|proxy| Some(proxy.email.as_ref()?.mailers));
    let mut ways = BTreeMap::new();
    for index in named {
        let section = &model.mailers[index];
        if !section.mailers.is_empty() {
            ways.entry(index).or_insert_with(|| outlet(plane, section));
        }
    }
    ways
}

fn outlet(plane: &Rc<Plane>, section: &Mailers) -> Rc<Sender<Mail>> {
    let names = section.mailers.iter().map(|mailer| mailer.name.as_str());
    let place = names.collect::<Vec<_>>().join(", ");
    let outlet = Outlet::new("mail", &section.name, place);
    let (own, section) = (Rc::clone(plane), section.clone());
    let failed = RefCell::new(vec![None; section.mailers.len()]);
    Sender::start(plane, outlet, async move |mail: &Mail| {
        in_turn(&own, &section, &failed, mail).await
    })
}

/// Tries each mailer; `failed` says when each did last.
async fn in_turn(
    plane: &Plane,
    section: &Mailers,
    failed: &RefCell<Vec<Option<Instant>>>,
    mail: &Mail,
) -> Result<(), Refused> {
    let mut order: Vec<usize> = (0..section.mailers.len()).collect();
    let lately = |at: &usize| failed.borrow()[*at].is_some_and(|at| at.elapsed() < GRUDGE);
    order.sort_by_key(lately);
    let mut whys = Vec::new();
    for at in order {
        let mailer = &section.mailers[at];
        let attempt = hand_over(plane, mailer, section.timeout, mail);
        let why = match timeout(section.timeout, attempt).await {
            Ok(Ok(refused)) => {
                failed.borrow_mut()[at] = None;
                if !refused.is_empty() {
                    let refused = refused.join(", ");
                    let text = format!("mailer {} takes no mail for {refused}.", mailer.name);
                    plane.console(engine::Level::Warning, text);
                }
                return Ok(());
            }
            Ok(Err(why)) => why,
            Err(_) => "not done in time".into(),
        };
        failed.borrow_mut()[at] = Some(Instant::now());
        whys.push(format!("{}: {why}", mailer.name));
    }
    Err(Refused::for_now(whys.join("; ")))
}

/// One attempt at one mailer; returns the recipients it refused.
async fn hand_over(
    plane: &Plane,
    mailer: &Mailer,
    limit: Duration,
    mail: &Mail,
) -> Result<Vec<String>, String> {
    let manner = Manner {
        starttls: matches!(mailer.secrecy, Secrecy::StartTls(_)),
        login: mailer.login.as_ref().map(|login| {
            let password = login.password.reveal().to_owned();
            (login.user.clone(), password)
        }),
    };
    let mut call = dial(&mailer.host, mailer.port, mailer.known, limit).await?;
    if let Secrecy::Tls(tls) = &mailer.secrecy {
        call.secure(&plane.topology().tls, tls).await?;
    }
    let mut submission = Submission::new(mail, &manner);
    let mut buffer = vec![0; 4096];
    let mut next = Next::Wait;
    loop {
        next = match next {
            Next::Wait => {
                let read = call
                    .read(&mut buffer)
                    .await
                    .map_err(|error| words(&error))?;
                submission.hear(&buffer[..read])
            }
            Next::Send(bytes) => {
                say(&mut call, &bytes).await?;
                Next::Wait
            }
            Next::Secure => {
                let tls = mailer.secrecy.tls().ok_or("TLS is not set up")?;
                call.secure(&plane.topology().tls, tls).await?;
                submission.secured()
            }
            Next::Taken { quit, refused } => {
                // It is theirs now; what follows is good manners, in nobody's way.
                tokio::task::spawn_local(async move {
                    let farewell = async {
                        say(&mut call, &quit).await?;
                        let _ = call.read(&mut [0; 512]).await;
                        Ok::<_, String>(())
                    };
                    let _ = timeout(FAREWELL, farewell).await;
                });
                return Ok(refused);
            }
            Next::Failed(why) => return Err(why),
        };
    }
}

async fn say(call: &mut Call, bytes: &[u8]) -> Result<(), String> {
    call.write_all(bytes).await.map_err(|error| words(&error))
}
